//! Vocabulary of a simulated world: topics, tags and sentences in six languages, all invented.
//!
//! A tag is where a sentence has `{}`; where it has none the tags follow the text. Sentences name
//! no symptom or disease themselves: what a post is about is in its tags, so the labels of a world
//! say all that there is to find.

/// A subject that posts of a world may be about. Its id is that of the default topic file.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Topic {
    Influenza,
    Fever,
    Cough,
    Covid19,
    Measles,
    StomachBug,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lang {
    En,
    Fr,
    Es,
    De,
    Ja,
    Ar,
}

impl Topic {
    pub const ALL: [Topic; 6] = [
        Topic::Influenza,
        Topic::Fever,
        Topic::Cough,
        Topic::Covid19,
        Topic::Measles,
        Topic::StomachBug,
    ];

    pub fn id(self) -> &'static str {
        match self {
            Topic::Influenza => "influenza",
            Topic::Fever => "fever",
            Topic::Cough => "cough",
            Topic::Covid19 => "covid-19",
            Topic::Measles => "measles",
            Topic::StomachBug => "stomach-bug",
        }
    }

    /// Share of the posts that carry a health tag; they sum to 1.
    pub(crate) fn share(self) -> f64 {
        match self {
            Topic::Influenza => 0.32,
            Topic::Fever => 0.17,
            Topic::Cough => 0.15,
            Topic::Covid19 => 0.20,
            Topic::Measles => 0.06,
            Topic::StomachBug => 0.10,
        }
    }

    /// Tags of the topic as people of a language write them, the usual ones more than once: only
    /// such as any list of the topic has, so that a label never names what no lexicon could find.
    pub(crate) fn tags(self, lang: Lang) -> &'static [&'static str] {
        match (self, lang) {
            (Topic::Influenza, Lang::En) => {
                &["flu", "flu", "Flu", "FLU", "influenza", "FluSeason2026", "flu_season"]
            }
            (Topic::Influenza, Lang::Fr) => &["grippe", "grippe", "Grippe", "GrippeSaisonnière"],
            (Topic::Influenza, Lang::Es) => &["gripe", "gripe", "Gripe", "TemporadaDeGripe"],
            (Topic::Influenza, Lang::De) => &["Grippe", "Grippe", "grippe", "Influenza"],
            (Topic::Influenza, Lang::Ja) => &["インフルエンザ", "インフルエンザ", "インフル"],
            (Topic::Influenza, Lang::Ar) => &["إنفلونزا", "إنفلونزا", "انفلونزا"],
            (Topic::Fever, Lang::En) => &["fever", "fever", "Fever"],
            (Topic::Fever, Lang::Fr) => &["fièvre", "fièvre", "fievre", "Fièvre"],
            (Topic::Fever, Lang::Es) => &["fiebre", "fiebre", "Fiebre"],
            (Topic::Fever, Lang::De) => &["Fieber", "Fieber", "fieber"],
            (Topic::Fever, Lang::Ja) => &["発熱"],
            (Topic::Fever, Lang::Ar) => &["حمى"],
            (Topic::Cough, Lang::En) => &["cough", "cough", "Cough"],
            (Topic::Cough, Lang::Fr) => &["toux", "Toux"],
            (Topic::Cough, Lang::Es) => &["tos", "Tos"],
            (Topic::Cough, Lang::De) => &["Husten", "Husten", "husten"],
            (Topic::Cough, Lang::Ja) => &["咳"],
            (Topic::Cough, Lang::Ar) => &["cough"],
            (Topic::Covid19, Lang::Ja) => &["COVID19", "covid"],
            (Topic::Covid19, Lang::Ar) => &["COVID19", "covid19"],
            (Topic::Covid19, _) => &["covid", "covid", "Covid", "COVID19", "covid_19"],
            (Topic::Measles, Lang::En) => &["measles", "Measles"],
            (Topic::Measles, Lang::Fr) => &["rougeole", "Rougeole"],
            (Topic::Measles, Lang::Es) => &["sarampión", "sarampion"],
            (Topic::Measles, Lang::De) => &["Masern", "masern"],
            (Topic::Measles, Lang::Ja) => &["はしか"],
            (Topic::Measles, Lang::Ar) => &["حصبة", "الحصبة"],
            (Topic::StomachBug, Lang::En) => &["norovirus", "stomachbug", "StomachBug"],
            (Topic::StomachBug, Lang::Fr) => &["gastro", "Gastro"],
            (Topic::StomachBug, Lang::Es) => &["gastroenteritis", "norovirus"],
            (Topic::StomachBug, Lang::De) => &["Norovirus", "norovirus"],
            (Topic::StomachBug, Lang::Ja) => &["ノロウイルス"],
            (Topic::StomachBug, Lang::Ar) => &["norovirus"],
        }
    }
}

impl Lang {
    #[cfg(test)]
    pub(crate) const ALL: [Lang; 6] = [Lang::En, Lang::Fr, Lang::Es, Lang::De, Lang::Ja, Lang::Ar];

    /// As the `langs` of a post have it, usually and sometimes.
    pub(crate) fn code(self) -> &'static str {
        match self {
            Lang::En => "en",
            Lang::Fr => "fr",
            Lang::Es => "es",
            Lang::De => "de",
            Lang::Ja => "ja",
            Lang::Ar => "ar",
        }
    }

    pub(crate) fn regional_code(self) -> &'static str {
        match self {
            Lang::En => "en-US",
            Lang::Fr => "fr-FR",
            Lang::Es => "es-419",
            Lang::De => "de-DE",
            Lang::Ja => "ja-JP",
            Lang::Ar => "ar-SA",
        }
    }

    /// Tags that have nothing to do with health, some of which only look as if.
    pub(crate) fn harmless_tags(self) -> &'static [&'static str] {
        match self {
            Lang::En => &[
                "sunset",
                "MondayMotivation",
                "fluffy",
                "caturday",
                "coffee",
                "NowPlaying",
                "art",
                "photography",
                "influencer",
                "fluent",
                "gaming",
                "bookclub",
            ],
            Lang::Fr => {
                &["coucherdesoleil", "lundi", "café", "photo", "rugby", "lecture", "agrippé"]
            }
            Lang::Es => &["atardecer", "FelizLunes", "fútbol", "música", "libros", "tostadas"],
            Lang::De => {
                &["Sonnenuntergang", "Feierabend", "Katzen", "Krimi", "Brettspiele", "flüssig"]
            }
            Lang::Ja => &["夕焼け", "写真", "猫", "アニメ", "月曜日", "ラーメン"],
            Lang::Ar => &["صباح_الخير", "قهوة", "غروب", "كتب", "موسيقى"],
        }
    }

    /// First sentences of harmless posts.
    pub(crate) fn openings(self) -> &'static [&'static str] {
        match self {
            Lang::En => OPENINGS_EN,
            Lang::Fr => &[
                "La lumière sur le port ce soir, je suis resté là bien trop longtemps à regarder.",
                "Troisième café et la boîte mail gagne encore la partie.",
                "J'ai enfin terminé ce livre dont tout le monde me parlait, vous aviez raison.",
                "Mon voisin apprend la trompette. Nous apprenons tous la trompette.",
                "Une soupe avec tout ce qui restait au frigo, et c'est étrangement bon.",
                "Le chat a décidé que le clavier était son lit, donc pas de travail aujourd'hui.",
                "Petit dessin du soir, une heure au crayon, soyez indulgents.",
            ],
            Lang::Es => &[
                "La luz sobre el puerto esta tarde era increíble, me quedé mirando demasiado rato.",
                "Tercer café y la bandeja de entrada sigue ganando.",
                "Por fin terminé ese libro del que todos hablaban, y sí, teníais razón.",
                "Mi vecino está aprendiendo a tocar la trompeta. Todos estamos aprendiendo.",
                "Hice una sopa con todo lo que quedaba en la nevera y está sospechosamente buena.",
                "La gata ha decidido que el teclado es su cama, así que hoy no se trabaja.",
                "Dibujo nuevo, una hora a lápiz y sin modelo, sed amables.",
            ],
            Lang::De => &[
                "Das Licht über dem Hafen heute Abend war unglaublich, ich stand viel zu lange da.",
                "Dritter Kaffee, und das Postfach gewinnt immer noch.",
                "Endlich das Buch fertig, von dem alle geredet haben, und ja, ihr hattet recht.",
                "Mein Nachbar lernt Trompete. Wir lernen jetzt alle Trompete.",
                "Suppe aus allem gekocht, was noch im Kühlschrank war, und sie ist verdächtig gut.",
                "Die Katze hat beschlossen, dass die Tastatur ihr Bett ist, also heute keine \
                    Arbeit.",
                "Neue Zeichnung, eine Stunde mit Bleistift, bitte seid nett.",
            ],
            Lang::Ja => &[
                "今日の港の夕焼けがすごくて、ずっと立ち止まって眺めてしまった。",
                "コーヒー三杯目、それでもメールの山には勝てない。",
                "みんなが勧めてくれた本をやっと読み終えた。本当に面白かった。",
                "隣の人がトランペットを練習している。毎晩少しずつ上手くなっている。",
                "冷蔵庫の残り物で作ったスープが思ったよりおいしい。",
                "猫がキーボードの上で寝てしまったので、今日はもう仕事にならない。",
            ],
            Lang::Ar => &[
                "ضوء المساء فوق الميناء كان رائعا اليوم، وقفت أنظر إليه طويلا.",
                "فنجان القهوة الثالث وما زال البريد ينتصر.",
                "أنهيت أخيرا الكتاب الذي تحدث عنه الجميع، وكنتم على حق.",
                "جاري يتعلم العزف على البوق، ونحن جميعا نتعلم معه.",
                "صنعت حساء من كل ما بقي في الثلاجة، وطعمه لذيذ جدا.",
                "قررت القطة أن لوحة المفاتيح سريرها، فلا عمل اليوم.",
            ],
        }
    }

    /// Second sentences, which fit after anything.
    pub(crate) fn closings(self) -> &'static [&'static str] {
        match self {
            Lang::En => &[
                "How is everyone else doing?",
                "Anyway, back to it.",
                "More tomorrow, probably.\nProbably.",
                "Tell me I am not the only one.",
                "That is the whole post.",
                "Send tea.",
            ],
            Lang::Fr => &[
                "Et vous, ça va ?",
                "Bref, on y retourne.",
                "La suite demain, peut-être.\nPeut-être.",
                "Dites-moi que je ne suis pas le seul.",
                "Voilà, c'est tout.",
            ],
            Lang::Es => &[
                "¿Y vosotros qué tal?",
                "En fin, seguimos.",
                "Mañana más, seguramente.\nSeguramente.",
                "Decidme que no soy el único.",
                "Y eso es todo.",
            ],
            Lang::De => &[
                "Wie geht es euch so?",
                "Na ja, weiter geht's.",
                "Morgen mehr, wahrscheinlich.\nWahrscheinlich.",
                "Sagt mir, dass ich nicht der Einzige bin.",
                "Das war der ganze Beitrag.",
            ],
            Lang::Ja => &[
                "みなさんはどうですか。",
                "さて、戻ります。",
                "続きはまた明日。",
                "それだけです。",
            ],
            Lang::Ar => &[
                "كيف حالكم أنتم؟",
                "على كل حال، نعود إلى العمل.",
                "البقية غدا إن شاء الله.",
                "هذا كل شيء.",
            ],
        }
    }

    /// People who say that they themselves are ill.
    pub(crate) fn first_person(self) -> &'static [&'static str] {
        match self {
            Lang::En => &[
                "Day three in bed with {} and I have run out of things to watch.",
                "I woke up with {} this morning and my whole body hurts.",
                "So I have {} now. Staying home until it is over.",
                "I feel awful, {} since last night, and everyone at home has it too.",
                "My turn I guess: {} again, I can barely stand up.",
                "I called in sick, it is {} and I can't even look at a screen.",
            ],
            Lang::Fr => &[
                "J'ai {} depuis hier soir et je ne tiens pas debout.",
                "Troisième jour au lit avec {} , je n'en peux plus.",
                "Je me suis réveillée avec {} ce matin, tout le corps me fait mal.",
                "Bon, j'ai {} , je reste à la maison jusqu'à la fin de la semaine.",
            ],
            Lang::Es => &[
                "Tengo {} desde anoche y apenas puedo levantarme.",
                "Tercer día en la cama con {} y ya no sé qué ver.",
                "Me he despertado con {} y me duele todo el cuerpo.",
                "Pues me ha tocado: tengo {} , me quedo en casa esta semana.",
            ],
            Lang::De => &[
                "Ich habe {} seit gestern Abend und komme kaum aus dem Bett.",
                "Dritter Tag im Bett mit {} , ich kann nicht mehr.",
                "Heute Morgen mit {} aufgewacht, mir tut alles weh.",
                "Mich hat es erwischt: {} , ich bleibe diese Woche zu Hause.",
            ],
            Lang::Ja => &[
                "昨日の夜から {} でずっと寝ています。",
                "{} になってしまった。今週は家で休みます。",
                "朝起きたら {} で体中が痛い。",
            ],
            Lang::Ar => &[
                "عندي {} منذ مساء أمس ولا أستطيع النهوض.",
                "اليوم الثالث في السرير مع {} وما زلت متعبا.",
                "استيقظت مع {} هذا الصباح وجسمي كله يؤلمني.",
            ],
        }
    }

    /// Talk about it by people who don't say that they are ill.
    pub(crate) fn third_person(self) -> &'static [&'static str] {
        match self {
            Lang::En => &[
                "The pharmacy had a whole shelf about {} this week.",
                "Does anyone remember when {} was all over the radio?",
                "Half of the school is away with {} according to the teacher.",
                "Good thread on {} from a nurse, worth your time.",
                "They are talking about {} on the bus again.",
            ],
            Lang::Fr => &[
                "La pharmacie a une vitrine entière sur {} cette semaine.",
                "La moitié de la classe est absente, {} paraît-il.",
                "On reparle de {} à la radio.",
            ],
            Lang::Es => &[
                "En la farmacia hay un escaparate entero sobre {} esta semana.",
                "Media clase falta por {} según la profesora.",
                "Otra vez hablan de {} en la radio.",
            ],
            Lang::De => &[
                "Die Apotheke hat diese Woche ein ganzes Regal zu {} aufgebaut.",
                "Die halbe Klasse fehlt wegen {} , sagt die Lehrerin.",
                "Im Radio reden sie wieder über {} heute.",
            ],
            Lang::Ja => &[
                "薬局に {} のポスターがたくさん貼ってあった。",
                "先生によるとクラスの半分が {} で休みだそうです。",
            ],
            Lang::Ar => &[
                "في الصيدلية هذا الأسبوع رف كامل عن {} الآن.",
                "نصف الصف غائب بسبب {} كما تقول المعلمة.",
            ],
        }
    }

    /// Headlines, which a link follows.
    pub(crate) fn headlines(self) -> &'static [&'static str] {
        match self {
            Lang::En => &[
                "Minister answers questions on {} in a long interview today:",
                "What experts say about {} and what they don't:",
                "New report on {} makes the rounds, read it here:",
            ],
            Lang::Fr => &[
                "Le ministre répond aux questions sur {} dans un long entretien :",
                "Ce que les experts disent de {} aujourd'hui :",
            ],
            Lang::Es => &[
                "El ministro responde a las preguntas sobre {} en una larga entrevista:",
                "Lo que dicen los expertos sobre {} hoy:",
            ],
            Lang::De => &[
                "Der Minister beantwortet im langen Interview Fragen zu {} heute:",
                "Was Fachleute zu {} sagen und was nicht:",
            ],
            Lang::Ja => {
                &["専門家が {} について語る、詳しくはこちら:", "大臣が {} に関する質問に答えた:"]
            }
            Lang::Ar => {
                &["الوزير يجيب عن أسئلة حول {} في مقابلة طويلة:", "ماذا يقول الخبراء عن {} اليوم:"]
            }
        }
    }

    /// What bots repeat; a number and a link follow.
    pub(crate) fn advertisement(self) -> &'static str {
        match self {
            Lang::En => {
                "They don't want you to know what really helps against {} , order today and save, \
                    offer no."
            }
            Lang::Fr => {
                "Ce qui aide vraiment contre {} , commandez aujourd'hui et économisez, offre n°"
            }
            Lang::Es => "Lo que de verdad ayuda contra {} , pide hoy y ahorra, oferta n.º",
            Lang::De => "Was wirklich gegen {} hilft, heute bestellen und sparen, Angebot Nr.",
            Lang::Ja => "{} に本当に効くもの、今日だけ割引、番号",
            Lang::Ar => "ما يساعد حقا ضد {} اطلب اليوم ووفر، عرض رقم",
        }
    }
}

/// Openings in the language that most posts are in.
const OPENINGS_EN: &[&str] = &[
    "The light over the harbour this evening was something else, I stood there far too \
        long.",
    "Third coffee and the inbox is still winning.",
    "Finally finished that book everyone kept telling me about, and yes, you were \
        right.",
    "My neighbour is learning the trumpet. We are all learning the trumpet.",
    "Made soup out of everything left in the fridge and it is suspiciously good.",
    "Is it just me or did the whole train decide to take calls on speaker today?",
    "The cat has decided that the keyboard is her bed now, so no work from me.",
    "New sketch, an hour in pencil, no reference, please be kind.",
    "Somebody left a note saying \"thank you\" on my bike and I still don't know why.",
    "Rewatching the old series from the start, the first season holds up so well.",
];
