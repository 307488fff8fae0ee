# Sourced: what alerts are sent to in the tests.
#   receivers_fetch   a mail server (aiosmtpd, from the package index), Alertmanager and xmllint (from Debian's packages)
# tests/notify.rs starts and stops them itself: that they are down for a while is what it is about.

AIOSMTPD_PACKAGE=${AIOSMTPD_PACKAGE:-aiosmtpd==1.4.6}
receivers_parts=${CARGO_TARGET_DIR:-$PWD/target}/parts

receivers_fetch() {
    if [ ! -d "$receivers_parts/aiosmtpd/aiosmtpd" ]; then
        mkdir -p "$receivers_parts"
        # Into a folder beside it first, so that a download cut short isn't taken for the package.
        rm -rf "$receivers_parts/aiosmtpd.part" "$receivers_parts/aiosmtpd"
        python3 -m pip install --quiet --disable-pip-version-check --target "$receivers_parts/aiosmtpd.part" "$AIOSMTPD_PACKAGE" &&
            mv "$receivers_parts/aiosmtpd.part" "$receivers_parts/aiosmtpd"
    fi
    fetch prometheus-alertmanager prometheus-alertmanager
    fetch xmllint libxml2-utils
}
