//! What the machine should say of itself: suggestions for `/etc`.

use pyti_model::trace::DecoyPlace;

use crate::home::{Home, PlantedFile};

/// The family of what tells this machine from others. All code reads that, so that reading is neither watched nor noted;
/// what counts is that it is sent.
pub(crate) const FAMILY: &str = "machine";

/// Accounts that a Debian has.
const ACCOUNTS: &str = "\
root:x:0:0:root:/root:/bin/bash
daemon:x:1:1:daemon:/usr/sbin:/usr/sbin/nologin
bin:x:2:2:bin:/bin:/usr/sbin/nologin
sys:x:3:3:sys:/dev:/usr/sbin/nologin
sync:x:4:65534:sync:/bin:/bin/sync
games:x:5:60:games:/usr/games:/usr/sbin/nologin
man:x:6:12:man:/var/cache/man:/usr/sbin/nologin
lp:x:7:7:lp:/var/spool/lpd:/usr/sbin/nologin
mail:x:8:8:mail:/var/mail:/usr/sbin/nologin
news:x:9:9:news:/var/spool/news:/usr/sbin/nologin
proxy:x:13:13:proxy:/bin:/usr/sbin/nologin
www-data:x:33:33:www-data:/var/www:/usr/sbin/nologin
backup:x:34:34:backup:/var/backups:/usr/sbin/nologin
nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin
systemd-network:x:998:998:systemd Network Management:/:/usr/sbin/nologin
messagebus:x:100:102::/nonexistent:/usr/sbin/nologin
avahi:x:102:109:Avahi mDNS daemon,,,:/run/avahi-daemon:/usr/sbin/nologin
";

/// Groups that a Debian has.
const GROUPS: &[(&str, u32)] = &[
    ("root", 0),
    ("daemon", 1),
    ("adm", 4),
    ("tty", 5),
    ("mail", 8),
    ("cdrom", 24),
    ("sudo", 27),
    ("audio", 29),
    ("www-data", 33),
    ("video", 44),
    ("plugdev", 46),
    ("users", 100),
    ("netdev", 106),
    ("nogroup", 65534),
];

/// Groups of somebody who sits at the machine.
const OWN_GROUPS: &[&str] = &["adm", "cdrom", "sudo", "audio", "video", "plugdev", "netdev"];

const OS_RELEASE: &str = "\
PRETTY_NAME=\"Debian GNU/Linux 12 (bookworm)\"
NAME=\"Debian GNU/Linux\"
VERSION_ID=\"12\"
VERSION=\"12 (bookworm)\"
VERSION_CODENAME=bookworm
ID=debian
HOME_URL=\"https://www.debian.org/\"
SUPPORT_URL=\"https://www.debian.org/support\"
BUG_REPORT_URL=\"https://bugs.debian.org/\"
";

/// What the machine should say of itself. Suggestions: the caller owns `/etc`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Machine {
    /// Name of the account, as given.
    pub user: String,
    /// Name of the person.
    pub full_name: String,
    /// Name of the machine, as given.
    pub host: String,
    /// For `/etc/machine-id`: 32 hexadecimal digits, different in each run.
    pub machine_id: String,
    /// Time zone: `Europe/Berlin`.
    pub time_zone: String,
    /// Files below `/etc`. `/etc/os-release` and `/etc/debian_version` are right only where `/usr` is Debian 12's.
    pub files: Vec<PlantedFile>,
}

impl Machine {
    /// Makes it, and adds to the decoys what tells this machine from others.
    pub(crate) fn new(home: &mut Home<'_>) -> Self {
        let mut chance = home.chance("machine");
        // systemd's are random UUIDs of version 4 too
        let machine_id = chance.uuid().replace('-', "");
        let (user, host) = (home.user.to_owned(), home.host.to_owned());
        let persona = home.persona;
        let installed = home.now - chance.between(86_400 * 60, 86_400 * 900);
        let passwd = format!(
            "{ACCOUNTS}{user}:x:1000:1000:{},,,:/home/{user}:/bin/bash\n",
            persona.full_name
        );
        let mut group: String = GROUPS
            .iter()
            .map(|(name, number)| {
                let member = if OWN_GROUPS.contains(name) {
                    user.as_str()
                } else {
                    ""
                };
                format!("{name}:x:{number}:{member}\n")
            })
            .collect();
        group.push_str(&format!("{user}:x:1000:\n"));
        let hosts = format!(
            "127.0.0.1\tlocalhost\n127.0.1.1\t{host}.{}\t{host}\n\n\
             ::1     localhost ip6-localhost ip6-loopback\nff02::1 ip6-allnodes\nff02::2 ip6-allrouters\n",
            persona.domain
        );
        let files = [
            ("passwd", passwd),
            ("group", group),
            ("hostname", format!("{host}\n")),
            ("hosts", hosts),
            ("machine-id", format!("{machine_id}\n")),
            ("os-release", OS_RELEASE.to_owned()),
            ("debian_version", format!("12.{}\n", chance.between(5, 12))),
            ("timezone", format!("{}\n", persona.time_zone)),
            ("issue", "Debian GNU/Linux 12 \\n \\l\n\n".to_owned()),
            (
                "default/locale",
                format!(
                    "LANG={}\n",
                    chance.pick(&["en_US.UTF-8", "en_GB.UTF-8", "C.UTF-8"])
                ),
            ),
        ];
        let files = files
            .into_iter()
            .map(|(name, text)| PlantedFile {
                path: format!("/etc/{name}"),
                bytes: text.into_bytes(),
                mode: if name == "machine-id" { 0o444 } else { 0o644 },
                modified: installed + i64::from(chance.byte()),
            })
            .collect();
        for (id, path, fact) in [
            ("machine.host", "/etc/hostname", host.as_str()),
            ("machine.user", "/etc/passwd", user.as_str()),
            ("machine.id", "/etc/machine-id", machine_id.as_str()),
        ] {
            home.add(id, DecoyPlace::File(path.to_owned()), &[fact])
                .commonly_read = true;
        }
        Self {
            user,
            full_name: persona.full_name.clone(),
            host,
            machine_id,
            time_zone: persona.time_zone.clone(),
            files,
        }
    }
}
