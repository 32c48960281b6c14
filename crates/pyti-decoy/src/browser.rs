//! Browsers and messengers: profiles with logins and cookies, as Firefox, Chromium and Discord keep them.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::chance::{Chance, HEX, LOWER};
use crate::home::Home;
use crate::key::der::{integer, null, octets, oid, sequence};
use crate::store::leveldb;
use crate::store::sqlite::{Index, Marks, Table, Value, database};
use crate::token;

pub(crate) fn furnish(home: &mut Home<'_>) {
    firefox(home);
    let mut chance = home.chance("chromium");
    let browsers = [
        (".config/google-chrome", "chrome"),
        (".config/chromium", "chromium"),
        (".config/BraveSoftware/Brave-Browser", "brave"),
    ];
    let (folder, name) = chance.pick(&browsers);
    chromium(home, folder, name);
    discord(home);
}

/// Sites that somebody has an account at.
fn sites(chance: &mut Chance, home: &Home<'_>) -> Vec<String> {
    let mut sites: Vec<String> = ["mail", "sso", "wiki", "git", "grafana", "hr"]
        .iter()
        .map(|name| format!("{name}.{}", home.persona.domain))
        .collect();
    sites.extend(["bank", "shop", "forum", "travel"].iter().map(|name| {
        let mark = token::slug(chance, 4);
        format!("{name}-{mark}.example")
    }));
    chance.shuffle(&mut sites);
    sites.truncate(4 + chance.below(6));
    sites
}

/// What Firefox keeps of a secret: which key, which cipher with which start, and what it made of it.
fn sealed(chance: &mut Chance, key: &[u8], length: usize) -> String {
    const AES256_CBC: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, 0x2a];
    STANDARD.encode(sequence(&[
        octets(key),
        sequence(&[oid(AES256_CBC), octets(&chance.vec(16))]),
        octets(&chance.vec(length)),
    ]))
}

/// How Firefox keeps a key: derived with PBKDF2, then AES (PKCS #5, PBES2).
fn wrapped(chance: &mut Chance, length: usize) -> Vec<u8> {
    const PBES2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0d];
    const PBKDF2: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x05, 0x0c];
    const HMAC_SHA256: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x02, 0x09];
    const AES256_CBC: &[u8] = &[0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x01, 0x2a];
    let derived = sequence(&[
        octets(&chance.vec(32)),
        integer(&10_000u32.to_be_bytes()),
        integer(&[32]),
        sequence(&[oid(HMAC_SHA256), null()]),
    ]);
    let with = sequence(&[
        sequence(&[oid(PBKDF2), derived]),
        sequence(&[oid(AES256_CBC), octets(&chance.vec(14))]),
    ]);
    sequence(&[sequence(&[oid(PBES2), with]), octets(&chance.vec(length))])
}

fn firefox(home: &mut Home<'_>) {
    let mut chance = home.chance("firefox");
    let profile = format!("{}.default-esr", chance.text(LOWER, 8));
    let root = ".mozilla/firefox";
    home.file(
        &format!("{root}/profiles.ini"),
        format!(
            "[Profile0]\nName=default-esr\nIsRelative=1\nPath={profile}\nDefault=1\n\n[General]\nStartWithLastProfile=1\n\
             Version=2\n"
        ),
    );
    let folder = format!("{root}/{profile}");
    let sites = sites(&mut chance, home);
    let key: [u8; 16] = [0xf8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1];
    let mut passwords = Vec::new();
    let logins: Vec<String> = (1..)
        .zip(&sites)
        .map(|(id, site)| {
            let (user, password) = (sealed(&mut chance, &key, 32), sealed(&mut chance, &key, 32));
            let created = (home.now - chance.between(86_400, 86_400 * 700)) * 1000;
            let text = format!(
                "{{\"id\":{id},\"hostname\":\"https://{site}\",\"httpRealm\":null,\"formSubmitURL\":\"https://{site}\",\
                 \"usernameField\":\"\",\"passwordField\":\"\",\"encryptedUsername\":\"{user}\",\"encryptedPassword\":\
                 \"{password}\",\"guid\":\"{{{}}}\",\"encType\":1,\"timeCreated\":{created},\"timeLastUsed\":{created},\
                 \"timePasswordChanged\":{created},\"timesUsed\":{}}}",
                chance.uuid(),
                chance.between(1, 90)
            );
            passwords.push(password);
            text
        })
        .collect();
    let text = format!(
        "{{\"nextId\":{},\"logins\":[{}],\"potentiallyVulnerablePasswords\":[],\"dismissedBreachAlertsByLoginGUID\":{{}},\
         \"version\":3}}",
        logins.len() + 1,
        logins.join(",")
    );
    // what is the same in all of them comes first: the secret is the rest
    let secrets: Vec<&str> = passwords.iter().take(3).map(|p| &p[48..]).collect();
    home.decoy(
        "browser.firefox-logins",
        &format!("{folder}/logins.json"),
        text,
        &secrets,
    );

    let key4 = key_database(&mut chance);
    home.decoy("browser.firefox-keys", &format!("{folder}/key4.db"), key4, &[]);

    let mut secrets = Vec::new();
    let mut rows = Vec::new();
    for site in &sites {
        let value = chance.word(32);
        let now = home.now * 1_000_000;
        rows.push(vec![
            Value::Null,
            "".into(),
            chance
                .pick(&["session", "sid", "auth_token", "remember_me"])
                .into(),
            value.as_str().into(),
            format!(".{site}").into(),
            "/".into(),
            (home.now + chance.between(86_400, 86_400 * 300)).into(),
            (now - chance.between(1, 80_000) * 1_000_000).into(),
            (now - chance.between(100_000, 9_000_000) * 1_000_000).into(),
            1.into(),
            1.into(),
            0.into(),
            0.into(),
            0.into(),
            2.into(),
        ]);
        secrets.push(value);
    }
    let cookies = database(
        &[Table {
            name: "moz_cookies",
            sql: "CREATE TABLE moz_cookies (id INTEGER PRIMARY KEY, originAttributes TEXT NOT NULL DEFAULT '', \
                  name TEXT, value TEXT, host TEXT, path TEXT, expiry INTEGER, lastAccessed INTEGER, \
                  creationTime INTEGER, isSecure INTEGER, isHttpOnly INTEGER, inBrowserElement INTEGER DEFAULT 0, \
                  sameSite INTEGER DEFAULT 0, rawSameSite INTEGER DEFAULT 0, schemeMap INTEGER DEFAULT 0, \
                  CONSTRAINT moz_uniqueid UNIQUE (name, host, path, originAttributes))",
            rows,
            indexes: vec![Index::of_constraint("moz_cookies", &[2, 4, 5, 1])],
        }],
        Marks {
            user_version: 12,
            application: 0,
        },
    );
    let secrets: Vec<&str> = secrets.iter().take(3).map(String::as_str).collect();
    home.decoy(
        "browser.firefox-cookies",
        &format!("{folder}/cookies.sqlite"),
        cookies,
        &secrets,
    );
}

fn key_database(chance: &mut Chance) -> Vec<u8> {
    let salt = chance.vec(20);
    let meta = vec![vec!["password".into(), salt.into(), wrapped(chance, 16).into()]];
    let secret = vec![vec![
        chance.between(1_000_000, 2_000_000_000).into(),
        vec![0, 0, 0, 4].into(),
        vec![1].into(),
        wrapped(chance, 32).into(),
        vec![0xf8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 1].into(),
    ]];
    database(
        &[
            Table {
                name: "metaData",
                sql: "CREATE TABLE metaData (id PRIMARY KEY UNIQUE ON CONFLICT REPLACE, item1, item2)",
                rows: meta,
                indexes: vec![Index::of_constraint("metaData", &[0])],
            },
            Table {
                name: "nssPrivate",
                sql: "CREATE TABLE nssPrivate (id PRIMARY KEY UNIQUE ON CONFLICT ABORT, a0, a1, a11, a102)",
                rows: secret,
                indexes: vec![Index::of_constraint("nssPrivate", &[0])],
            },
        ],
        Marks::default(),
    )
}

/// Microseconds since 1601, as Chromium counts.
fn since_1601(seconds: i64) -> i64 {
    (seconds + 11_644_473_600) * 1_000_000
}

/// What Chromium makes of a secret with a key of the desktop's keyring.
fn locked(chance: &mut Chance, length: usize) -> Value {
    let mut bytes = b"v11".to_vec();
    bytes.extend(chance.vec(length));
    bytes.into()
}

fn chromium(home: &mut Home<'_>, root: &str, name: &str) {
    let folder = format!("{root}/Default");
    let mut chance = home.chance("chromium logins");
    let sites = sites(&mut chance, home);
    let (mut rows, mut secrets) = (Vec::new(), Vec::new());
    for site in &sites {
        let state = chance.word(28);
        let made = since_1601(home.now - chance.between(86_400, 86_400 * 600));
        rows.push(vec![
            format!("https://{site}/login").into(),
            format!("https://{site}/session?state={state}").into(),
            "email".into(),
            home.persona.email().into(),
            "password".into(),
            locked(&mut chance, 32),
            "".into(),
            format!("https://{site}/").into(),
            made.into(),
            0.into(),
            0.into(),
            0.into(),
            chance.between(0, 60).into(),
            Value::Null,
            made.into(),
        ]);
        secrets.push(state);
    }
    let count = i64::try_from(rows.len()).unwrap_or(0);
    let logins = database(
        &[
            meta("43"),
            Table {
                name: "logins",
                sql: "CREATE TABLE logins (origin_url VARCHAR NOT NULL, action_url VARCHAR, username_element VARCHAR, \
                      username_value VARCHAR, password_element VARCHAR, password_value BLOB, submit_element VARCHAR, \
                      signon_realm VARCHAR NOT NULL, date_created INTEGER NOT NULL, blacklisted_by_user INTEGER NOT \
                      NULL, scheme INTEGER NOT NULL, password_type INTEGER, times_used INTEGER, id INTEGER PRIMARY KEY \
                      AUTOINCREMENT, date_last_used INTEGER NOT NULL DEFAULT 0, UNIQUE (origin_url, username_element, \
                      username_value, password_element, signon_realm))",
                rows,
                indexes: vec![Index::of_constraint("logins", &[0, 2, 3, 4, 7])],
            },
            Table {
                name: "sqlite_sequence",
                sql: "CREATE TABLE sqlite_sequence(name,seq)",
                rows: vec![vec!["logins".into(), count.into()]],
                indexes: Vec::new(),
            },
        ],
        Marks::default(),
    );
    let some: Vec<&str> = secrets.iter().take(3).map(String::as_str).collect();
    home.decoy(
        &format!("browser.{name}-logins"),
        &format!("{folder}/Login Data"),
        logins,
        &some,
    );

    let (mut rows, mut secrets) = (Vec::new(), Vec::new());
    for site in &sites {
        let value = chance.word(36);
        let made = since_1601(home.now - chance.between(86_400, 86_400 * 100));
        let is_plain = secrets.len() < 2;
        rows.push(vec![
            made.into(),
            format!(".{site}").into(),
            "".into(),
            chance.pick(&["session_id", "auth", "SID", "user_session"]).into(),
            if is_plain { value.as_str() } else { "" }.into(),
            if is_plain {
                Value::Blob(Vec::new())
            } else {
                locked(&mut chance, 64)
            },
            "/".into(),
            since_1601(home.now + 86_400 * 200).into(),
            1.into(),
            1.into(),
            made.into(),
            1.into(),
            1.into(),
            1.into(),
            0.into(),
            2.into(),
            443.into(),
            made.into(),
            0.into(),
            0.into(),
        ]);
        if is_plain {
            secrets.push(value);
        }
    }
    let cookies = database(
        &[
            meta("24"),
            Table {
                name: "cookies",
                sql: "CREATE TABLE cookies(creation_utc INTEGER NOT NULL,host_key TEXT NOT NULL,top_frame_site_key TEXT \
                      NOT NULL,name TEXT NOT NULL,value TEXT NOT NULL,encrypted_value BLOB NOT NULL,path TEXT NOT NULL,\
                      expires_utc INTEGER NOT NULL,is_secure INTEGER NOT NULL,is_httponly INTEGER NOT NULL,\
                      last_access_utc INTEGER NOT NULL,has_expires INTEGER NOT NULL,is_persistent INTEGER NOT NULL,\
                      priority INTEGER NOT NULL,samesite INTEGER NOT NULL,source_scheme INTEGER NOT NULL,source_port \
                      INTEGER NOT NULL,last_update_utc INTEGER NOT NULL,source_type INTEGER NOT NULL,\
                      has_cross_site_ancestor INTEGER NOT NULL)",
                rows,
                indexes: vec![Index {
                    name: "cookies_unique_index".into(),
                    sql: Some(
                        "CREATE UNIQUE INDEX cookies_unique_index ON cookies(host_key, top_frame_site_key, \
                         has_cross_site_ancestor, name, path, source_scheme, source_port)",
                    ),
                    columns: &[1, 2, 19, 3, 6, 15, 16],
                }],
            },
        ],
        Marks::default(),
    );
    let some: Vec<&str> = secrets.iter().map(String::as_str).collect();
    home.decoy(
        &format!("browser.{name}-cookies"),
        &format!("{folder}/Cookies"),
        cookies,
        &some,
    );
    home.file_with_mode(
        &format!("{root}/Local State"),
        format!(
            "{{\"os_crypt\":{{\"portal\":{{\"prev_desktop\":\"GNOME\"}}}},\"profile\":{{\"last_used\":\"Default\"}},\
             \"user_experience_metrics\":{{\"client_id2\":\"{}\"}}}}",
            chance.uuid()
        ),
        0o600,
    );
    metamask(home, &folder);
}

fn meta(version: &'static str) -> Table<'static> {
    Table {
        name: "meta",
        sql: "CREATE TABLE meta(key LONGVARCHAR NOT NULL UNIQUE PRIMARY KEY, value LONGVARCHAR)",
        rows: vec![
            vec!["mmap_status".into(), "-1".into()],
            vec!["version".into(), version.into()],
            vec!["last_compatible_version".into(), version.into()],
        ],
        indexes: vec![Index::of_constraint("meta", &[0])],
    }
}

/// The vault of `MetaMask`, where its extension keeps it.
fn metamask(home: &mut Home<'_>, profile: &str) {
    let mut chance = home.chance("metamask");
    let length = 400 + chance.below(300);
    let data = STANDARD.encode(chance.vec(length));
    let vault = format!(
        "{{\\\"data\\\":\\\"{data}\\\",\\\"iv\\\":\\\"{}\\\",\\\"keyMetadata\\\":{{\\\"algorithm\\\":\\\"PBKDF2\\\",\\\"params\\\":\
         {{\\\"iterations\\\":600000}}}},\\\"salt\\\":\\\"{}\\\"}}",
        STANDARD.encode(chance.bytes::<16>()),
        STANDARD.encode(chance.bytes::<32>())
    );
    let address = chance.text(HEX, 40);
    let value = format!(
        "{{\"KeyringController\":{{\"vault\":\"{vault}\"}},\"PreferencesController\":{{\"selectedAddress\":\"0x{address}\"}}}}"
    );
    let folder = format!("{profile}/Local Extension Settings/nkbihfbeogaeaoehlefnkodbefgpgknn");
    let middle = &data[data.len() / 2..][..48];
    leveldb_folder(
        home,
        "wallet.metamask",
        &folder,
        &[(b"data".to_vec(), value.into_bytes())],
        &[middle],
    );
}

fn discord(home: &mut Home<'_>) {
    let mut chance = home.chance("discord");
    let token = token::discord(&mut chance, home.now - 86_400 * 40);
    let entry = |key: &str, value: &str| {
        let key = [&b"_https://discord.com\0\x01"[..], key.as_bytes()].concat();
        (key, [&[1], value.as_bytes()].concat())
    };
    let mut entries = vec![
        entry("token", &format!("\"{token}\"")),
        entry(
            "deviceProperties",
            "{\"os\":\"Linux\",\"browser\":\"Discord Client\"}",
        ),
        entry("email_cache", &format!("\"{}\"", home.persona.email())),
    ];
    chance.shuffle(&mut entries);
    let folder = ".config/discord/Local Storage/leveldb";
    leveldb_folder(home, "discord.token", folder, &entries, &[&token]);
}

/// Writes a `LevelDB` whose log is a decoy.
fn leveldb_folder(
    home: &mut Home<'_>,
    id: &str,
    folder: &str,
    entries: &[(Vec<u8>, Vec<u8>)],
    secrets: &[&str],
) {
    for (name, bytes) in leveldb::database(entries) {
        let path = format!("{folder}/{name}");
        if name == "000003.log" {
            home.decoy(id, &path, bytes, secrets);
        } else {
            home.file_with_mode(&path, bytes, 0o600);
        }
    }
}
