//! What is listed and what is only counted, within bounds.

use std::collections::{BTreeMap, HashSet};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};

use pyti_model::foreign::Foreign;
use pyti_model::trace::{Access, Act, Count, Deed, Endpoint, Result};

use crate::address::NOBODY;
use crate::paths::{is_below, name};
use crate::places::{Place, Places};

/// Where the C library asks for names and users, if somebody listens there.
const NAME_SERVICE: &[&[u8]] = &[b"/var/run/nscd/socket", b"/run/nscd/socket"];

/// Devices that say nothing.
const DEVICES: &[&[u8]] = &[
    b"/dev/null",
    b"/dev/zero",
    b"/dev/full",
    b"/dev/random",
    b"/dev/urandom",
    b"/dev/pts",
    b"/dev/stdin",
    b"/dev/stdout",
    b"/dev/stderr",
];

/// Places that only somebody looks at who wants to know where he is, or what else is here.
const TELLING: &[&[u8]] = &[
    b"/.dockerenv",
    b"/run/.containerenv",
    b"/run/docker.sock",
    b"/var/run/docker.sock",
    b"/var/run/secrets",
    b"/run/secrets",
    b"/sys/class/dmi",
    b"/sys/class/net",
    b"/sys/hypervisor",
    b"/sys/devices/virtual/dmi",
    b"/etc/shadow",
    b"/etc/sudoers",
    b"/etc/machine-id",
    b"/etc/cron.d",
    b"/etc/crontab",
    b"/var/spool/cron",
    b"/etc/systemd",
    b"/root",
];

/// Endings of files that code is not kept in, but what hides code might be: listed when they are read.
const PAYLOADS: &[&[u8]] = &[
    b"png", b"jpg", b"jpeg", b"gif", b"bmp", b"webp", b"ico", b"tif", b"tiff", b"wav", b"mp3", b"ogg",
    b"flac", b"mp4", b"bin", b"dat", b"enc", b"exe", b"dll", b"sh", b"ps1", b"bat", b"zip", b"gz", b"bz2",
    b"xz", b"7z", b"tar", b"whl",
];
/// Most of those that are listed of one command: some packages read hundreds of pictures.
const MOST_PAYLOADS: u32 = 256;

/// What is done with a deed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Keep {
    List,
    Count(&'static str),
}

/// Which cap a deed counts against, so that a flood of one kind never drowns another.
#[derive(Debug, Clone, Copy)]
enum Kind {
    File = 0,
    Program = 1,
    Other = 2,
}

/// Acts and bytes of each kind.
const CAPS: [(usize, usize); 3] = [(12_000, 4 << 20), (4_000, 4 << 20), (4_000, 1 << 20)];
/// Looks that one process remembers, so that the same is not listed twice.
const REMEMBERED: usize = 4096;

/// Who does something, for the keeper.
#[derive(Debug, Default)]
pub(crate) struct Doer {
    /// Whether it is a compiler, assembler, linker of the machine.
    pub(crate) toolchain: bool,
    /// Its last act.
    last: Option<usize>,
    /// What it looked at before.
    looked: HashSet<u64>,
}

/// The acts of one command.
pub(crate) struct Keeper {
    places: Places,
    acts: Vec<Option<Act>>,
    counts: BTreeMap<&'static str, u64>,
    used: [(usize, usize); 3],
    payloads: u32,
    dropped: u64,
}

impl Keeper {
    pub(crate) fn new(places: Places) -> Self {
        Self {
            places,
            acts: Vec::new(),
            counts: BTreeMap::new(),
            used: [(0, 0); 3],
            payloads: 0,
            dropped: 0,
        }
    }

    pub(crate) fn places(&self) -> &Places {
        &self.places
    }

    pub(crate) fn count(&mut self, what: &'static str) {
        *self.counts.entry(what).or_default() += 1;
    }

    /// Takes a deed. Tells its place, when it is listed as an act of its own.
    pub(crate) fn take(
        &mut self,
        at_us: u64,
        process: Option<u32>,
        result: Result,
        deed: Deed,
        doer: &mut Doer,
    ) -> Option<usize> {
        if let Keep::Count(what) = self.judge(&deed, doer.toolchain) {
            self.count(what);
            return None;
        }
        if let Some(last) = doer.last.and_then(|at| self.acts.get_mut(at)?.as_mut())
            && last.deed == deed
            && last.result == result
        {
            last.times = last.times.saturating_add(1);
            return None;
        }
        if is_old_news(&deed) && doer.looked.len() < REMEMBERED && !doer.looked.insert(hash(&deed)) {
            self.count("again");
            return None;
        }
        let (kind, size) = (kind(&deed), size(&deed));
        let (acts, bytes) = &mut self.used[kind as usize];
        let (most_acts, most_bytes) = CAPS[kind as usize];
        if *acts >= most_acts || *bytes + size > most_bytes {
            self.dropped += 1;
            return None;
        }
        *acts += 1;
        *bytes += size;
        let at = self.acts.len();
        self.acts.push(Some(Act {
            at_us,
            process,
            result,
            times: 1,
            deed,
        }));
        doer.last = Some(at);
        Some(at)
    }

    /// An act that was listed, to say more about it.
    pub(crate) fn act(&mut self, at: usize) -> Option<&mut Act> {
        self.acts.get_mut(at)?.as_mut()
    }

    /// Takes an act back: it was a failed look for a program.
    pub(crate) fn take_back(&mut self, at: usize, what: &'static str) {
        if let Some(act) = self.acts.get_mut(at).and_then(Option::take) {
            let (acts, bytes) = &mut self.used[kind(&act.deed) as usize];
            *acts -= 1;
            *bytes = bytes.saturating_sub(size(&act.deed));
        }
        self.count(what);
    }

    /// The acts, the counts, and how many acts are not listed.
    pub(crate) fn finish(mut self) -> (Vec<Act>, Vec<Count>, u64) {
        if self.dropped > 0 {
            self.counts.insert("not_listed", self.dropped);
        }
        let counts = self.counts.into_iter().map(|(what, times)| Count {
            what: what.to_owned(),
            times,
        });
        (
            self.acts.into_iter().flatten().collect(),
            counts.collect(),
            self.dropped,
        )
    }

    fn judge(&mut self, deed: &Deed, toolchain: bool) -> Keep {
        let Some(path) = path(deed) else {
            return judge_call(deed);
        };
        let place = self.places.of(path);
        match deed {
            // what is read of a folder is told by the list
            Deed::Open { access, .. } if access.folder && !writes(*access) => Keep::Count("list"),
            _ if place == Place::Watched => Keep::List,
            Deed::Look { .. } if is_among(path, TELLING) => Keep::List,
            Deed::Look { .. } => Keep::Count("look"),
            Deed::List { .. } if place == Place::Elsewhere => Keep::List,
            Deed::List { .. } => Keep::Count("list"),
            Deed::Open { .. } if is_among(path, DEVICES) => Keep::Count("open_device"),
            Deed::Open { access, .. } if !writes(*access) => match place {
                Place::System => Keep::Count("open_system"),
                Place::Quiet if self.payloads < MOST_PAYLOADS && may_hide(path) => {
                    self.payloads += 1;
                    Keep::List
                }
                Place::Quiet | Place::Filled => Keep::Count("open_environment"),
                _ if toolchain => Keep::Count("toolchain"),
                _ => Keep::List,
            },
            _ if place == Place::Quiet && is_bytecode(deed) => Keep::Count("bytecode"),
            _ if place == Place::Filled => Keep::Count("filled"),
            _ if toolchain => Keep::Count("toolchain"),
            _ => Keep::List,
        }
    }
}

/// Calls that the C library makes whenever a name is asked for say nothing of the program.
fn judge_call(deed: &Deed) -> Keep {
    let (Deed::Bind { to } | Deed::Send { to } | Deed::Connect { to, .. }) = deed else {
        return Keep::List;
    };
    match to {
        // routes: the filter lets no other kind of this family pass
        Endpoint::Other(family) if *family == format!("family {}", libc::AF_NETLINK) => Keep::Count("routes"),
        Endpoint::Other(nobody) if nobody == NOBODY => Keep::Count("disconnect"),
        Endpoint::Unix(path) if NAME_SERVICE.contains(&path.as_bytes()) => Keep::Count("name_service"),
        _ => Keep::List,
    }
}

/// Whether an open changes something.
pub(crate) fn writes(access: Access) -> bool {
    access.write || access.append || access.create || access.truncate
}

/// Whether it tells nothing new when the same process does it again.
fn is_old_news(deed: &Deed) -> bool {
    match deed {
        Deed::Open { access, .. } => !writes(*access),
        Deed::Look { .. } | Deed::List { .. } | Deed::Inquire { .. } | Deed::MakeFolder { .. } => true,
        _ => false,
    }
}

fn is_among(path: &[u8], places: &[&[u8]]) -> bool {
    places.iter().any(|place| is_below(path, place))
}

fn may_hide(path: &[u8]) -> bool {
    let name = name(path);
    let Some(dot) = name.iter().rposition(|byte| *byte == b'.') else {
        return false;
    };
    PAYLOADS
        .iter()
        .any(|ending| name[dot + 1..].eq_ignore_ascii_case(ending))
}

/// The interpreter's own writing of bytecode: a file beside, renamed; the folder for it.
fn is_bytecode(deed: &Deed) -> bool {
    let cached = |path: &Foreign| {
        let path = path.as_bytes();
        let name = name(path);
        let folder = path.strip_suffix(name).unwrap_or_default();
        folder.ends_with(b"/__pycache__/") && name.windows(4).any(|part| part == b".pyc")
    };
    match deed {
        Deed::Open { path, .. } | Deed::Remove { path, .. } | Deed::Mode { path, .. } => cached(path),
        Deed::Rename { from, to } => cached(from) && cached(to),
        Deed::MakeFolder { path } => name(path.as_bytes()) == b"__pycache__",
        _ => false,
    }
}

/// The path that decides whether a deed is listed; `None` when it is listed in any case.
fn path(deed: &Deed) -> Option<&[u8]> {
    match deed {
        Deed::Open { path, .. }
        | Deed::Look { path }
        | Deed::List { path }
        | Deed::MakeFolder { path }
        | Deed::MakeNode { path }
        | Deed::Link { path, .. }
        | Deed::Remove { path, .. }
        | Deed::Mode { path, .. }
        | Deed::Owner { path }
        | Deed::Truncate { path } => Some(path.as_bytes()),
        Deed::Rename { to, .. } => Some(to.as_bytes()),
        _ => None,
    }
}

fn kind(deed: &Deed) -> Kind {
    match deed {
        _ if path(deed).is_some() => Kind::File,
        Deed::Execute { .. } | Deed::Signal { .. } | Deed::Become { .. } | Deed::Inquire { .. } => {
            Kind::Program
        }
        _ => Kind::Other,
    }
}

/// About how many bytes a deed takes.
fn size(deed: &Deed) -> usize {
    let texts = match deed {
        Deed::Execute {
            path,
            argv,
            cwd,
            variables,
            ..
        } => {
            argv.iter()
                .chain(variables)
                .map(|text| text.len() + 8)
                .sum::<usize>()
                + path.len()
                + cwd.len()
        }
        Deed::Rename { from, to } => from.len() + to.len(),
        Deed::Link { path, to, .. } => path.len() + to.len(),
        Deed::Become { text, call } => text.len() + call.len(),
        deed => path(deed).map_or(32, <[u8]>::len),
    };
    texts + 96
}

fn hash(deed: &Deed) -> u64 {
    let mut hasher = DefaultHasher::new();
    let (number, path): (u8, &[u8]) = match deed {
        Deed::Open { path, access } => (u8::from(access.folder), path.as_bytes()),
        Deed::Look { path } => (2, path.as_bytes()),
        Deed::List { path } => (3, path.as_bytes()),
        Deed::Inquire { call } => (4, call.as_bytes()),
        Deed::MakeFolder { path } => (5, path.as_bytes()),
        _ => (6, &[]),
    };
    number.hash(&mut hasher);
    path.hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn keeper() -> Keeper {
        Keeper::new(Places::new(
            &["/home/dev".into()],
            &["/home/dev/venv".into()],
            &["/home/dev/new".into()],
            &["/opt/python".into()],
        ))
    }

    fn read(path: &str) -> Deed {
        Deed::Open {
            path: path.into(),
            access: Access {
                read: true,
                ..Access::default()
            },
        }
    }

    fn write(path: &str) -> Deed {
        Deed::Open {
            path: path.into(),
            access: Access {
                write: true,
                create: true,
                ..Access::default()
            },
        }
    }

    fn look(path: &str) -> Deed {
        Deed::Look { path: path.into() }
    }

    fn is_listed(deed: Deed) -> bool {
        keeper()
            .take(0, Some(0), Result::Attempted, deed, &mut Doer::default())
            .is_some()
    }

    #[test]
    fn what_fills_a_place_is_counted_and_what_leaves_it_is_listed() {
        let mut keeper = keeper();
        let mut doer = Doer::default();
        for (path, listed) in [
            ("/home/dev/new/a.py", false),
            ("/home/dev/.bashrc", true),
            ("/tmp/x", true),
        ] {
            let taken = keeper.take(0, Some(0), Result::Attempted, write(path), &mut doer);
            assert_eq!(taken.is_some(), listed, "{path}");
        }
        let (acts, counts, _) = keeper.finish();
        assert_eq!(acts.len(), 2);
        assert!(
            counts
                .iter()
                .any(|count| count.what == "filled" && count.times == 1)
        );
    }

    #[test]
    fn what_matters_is_listed_and_its_harmless_twin_counted() {
        let pairs = [
            (read("/home/dev/.ssh/id_rsa"), read("/usr/lib/python3/os.py")),
            (read("/etc/passwd"), read("/etc/ld.so.cache")),
            (
                read("/home/dev/venv/lib/a/logo.png"),
                read("/home/dev/venv/lib/a/b.py"),
            ),
            (
                write("/home/dev/venv/lib/x.pth"),
                write("/home/dev/venv/lib/__pycache__/x.pyc.1234"),
            ),
            (
                write("/home/dev/venv/lib/x.pyc"),
                write("/home/dev/venv/__pycache__/x.cpython-311.pyc"),
            ),
            (look("/home/dev/.aws"), look("/usr/lib/x")),
            (look("/.dockerenv"), look("/tmp/x")),
            (read("/dev/tty"), write("/dev/null")),
            (read("/dev/input/event0"), read("/dev/urandom")),
            (read("/proc/1/environ"), read("/opt/python/lib/os.py")),
        ];
        for (listed, counted) in pairs {
            assert!(is_listed(listed.clone()), "{listed:?}");
            assert!(!is_listed(counted.clone()), "{counted:?}");
        }
    }

    #[test]
    fn a_question_for_a_name_is_counted_and_a_call_is_not() {
        let connect = |to| Deed::Connect {
            to,
            transport: pyti_model::trace::Transport::Unix,
        };
        let listed = [
            connect(Endpoint::Unix("/run/docker.sock".into())),
            Deed::Bind {
                to: Endpoint::Other("family 17".into()),
            },
        ];
        let counted = [
            connect(Endpoint::Unix("/var/run/nscd/socket".into())),
            connect(Endpoint::Other("nobody".into())),
            Deed::Bind {
                to: Endpoint::Other("family 16".into()),
            },
        ];
        assert!(listed.into_iter().all(is_listed));
        assert!(!counted.into_iter().any(is_listed));
    }

    #[test]
    fn a_compiler_is_counted_unless_it_reads_what_is_watched() {
        let mut keeper = keeper();
        let mut doer = Doer {
            toolchain: true,
            ..Doer::default()
        };
        let mut take = |deed| keeper.take(0, Some(0), Result::Attempted, deed, &mut doer);
        assert_eq!(take(write("/tmp/ccX.s")), None);
        assert_eq!(take(read("/tmp/a.c")), None);
        assert!(take(read("/home/dev/.aws/credentials")).is_some());
    }

    #[test]
    fn the_same_again_is_not_listed_again() {
        let mut keeper = keeper();
        let mut doer = Doer::default();
        let mut take = |deed: Deed| keeper.take(0, Some(0), Result::Attempted, deed, &mut doer);
        assert!(take(write("/tmp/a")).is_some());
        assert!(take(write("/tmp/a")).is_none(), "in a row");
        assert!(take(read("/etc/passwd")).is_some());
        assert!(take(write("/tmp/a")).is_some(), "not in a row");
        assert!(
            take(read("/etc/passwd")).is_none(),
            "reading again tells nothing new"
        );
        let (acts, counts, _) = keeper.finish();
        assert_eq!(acts.iter().map(|act| act.times).collect::<Vec<_>>(), [2, 1, 1]);
        assert_eq!(counts.iter().find(|c| c.what == "again").unwrap().times, 1);
    }

    #[test]
    fn a_flood_of_files_drowns_no_call() {
        let mut keeper = keeper();
        let mut doer = Doer::default();
        for number in 0..50_000 {
            keeper.take(
                0,
                Some(0),
                Result::Attempted,
                write(&format!("/tmp/{number}")),
                &mut doer,
            );
        }
        let fork = Deed::Forbidden { call: "mount".into() };
        assert!(keeper.take(0, None, Result::Refused, fork, &mut doer).is_some());
        let (acts, counts, dropped) = keeper.finish();
        assert_eq!(acts.len(), CAPS[0].0 + 1);
        assert_eq!(dropped, 50_000 - CAPS[0].0 as u64);
        assert!(
            counts
                .iter()
                .any(|count| count.what == "not_listed" && count.times == dropped)
        );
    }
}
