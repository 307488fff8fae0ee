// Light or dark and the language, before the first paint.
"use strict";
{
  const kept = (key) => { try { return localStorage.getItem(key); } catch { return null; } };
  const asked = new URLSearchParams(location.search);
  const theme = asked.get("theme") ?? kept("theme");
  if (theme === "dark" || theme === "light") document.documentElement.dataset.theme = theme;
  const wanted = [asked.get("language"), kept("language"), ...navigator.languages].map((one) => (one ?? "").slice(0, 2).toLowerCase());
  document.documentElement.lang = wanted.find((one) => ["en", "fr", "es", "de"].includes(one)) ?? "en";
}
