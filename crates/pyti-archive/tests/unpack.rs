//! Hostile archives, each beside a harmless one.

mod common;

use std::os::unix::fs::PermissionsExt as _;
use std::path::Path;

use common::{ZipEntry, gzip, listing, pax, put, tar_end, tar_entry, tar_entry_of_size, zip};
use proptest::prelude::*;
use pyti_archive::Limits;
use pyti_archive::unpack::unpack;
use pyti_model::raw::Unpack;

/// Unpacks bytes with limits; gives the report and what is there, and checks that nothing was written beside it.
fn unpacked(bytes: &[u8], limits: &Limits) -> (Unpack, Vec<String>) {
    let dir = tempfile::tempdir().unwrap();
    let archive = put(dir.path(), "archive", bytes);
    let destination = dir.path().join("out");
    let report = unpack(&archive, &destination, limits);
    let beside: Vec<_> = std::fs::read_dir(dir.path())
        .unwrap()
        .map(|e| e.unwrap().file_name())
        .collect();
    assert!(
        beside.iter().all(|name| name == "archive" || name == "out"),
        "{beside:?}"
    );
    assert!(beside.len() <= 2);
    let there = if destination.exists() {
        listing(&destination)
    } else {
        Vec::new()
    };
    assert!(there.iter().all(|name| !name.contains(".unpacking")), "{there:?}");
    if report.fatal.is_some() {
        assert!(there.is_empty(), "{there:?}");
    }
    (report, there)
}

fn tar(build: impl FnOnce(&mut Vec<u8>)) -> (Unpack, Vec<String>) {
    let mut tar = Vec::new();
    tar_entry(&mut tar, b'0', b"p-1/setup.py", b"", b"pass\n");
    build(&mut tar);
    tar_end(&mut tar);
    unpacked(&tar, &Limits::default())
}

/// Why the only refused entry was refused.
fn refused((report, there): &(Unpack, Vec<String>)) -> String {
    assert_eq!(report.fatal, None);
    assert_eq!(report.refused_total, 1, "{report:?}");
    assert_eq!(there, &["setup.py"]);
    report.refused[0].why.clone()
}

fn fatal(report: &Unpack) -> String {
    report
        .fatal
        .as_ref()
        .map(|f| f.lossy().into_owned())
        .unwrap_or_default()
}

#[test]
fn allowed_a_plain_archive_in_every_compression() {
    let mut plain = Vec::new();
    tar_entry(&mut plain, b'5', b"p-1/", b"", b"");
    tar_entry(&mut plain, b'0', b"p-1/setup.py", b"", b"pass\n");
    tar_entry(&mut plain, b'0', b"p-1/p/__init__.py", b"", b"");
    tar_entry(&mut plain, b'2', b"p-1/link", b"p/__init__.py", b"");
    tar_end(&mut plain);
    let mut bzip2 = bzip2::write::BzEncoder::new(Vec::new(), bzip2::Compression::fast());
    std::io::Write::write_all(&mut bzip2, &plain).unwrap();
    let mut xz = liblzma::write::XzEncoder::new(Vec::new(), 0);
    std::io::Write::write_all(&mut xz, &plain).unwrap();
    for bytes in [
        plain.clone(),
        gzip(&plain),
        bzip2.finish().unwrap(),
        xz.finish().unwrap(),
        zstd::encode_all(&plain[..], 1).unwrap(),
    ] {
        let (report, there) = unpacked(&bytes, &Limits::default());
        assert_eq!(
            (report.files, report.bytes, report.refused_total),
            (2, 5, 0),
            "{report:?}"
        );
        assert_eq!(report.root, Some("p-1".into()));
        assert_eq!(there, ["link -> p/__init__.py", "p/__init__.py", "setup.py"]);
    }
}

#[test]
fn allowed_a_plain_zip() {
    let mut script = ZipEntry::new(b"p-1/run.sh", b"#!/bin/sh\n");
    script.mode = 0o104_755;
    let mut link = ZipEntry::new(b"p-1/link", b"run.sh");
    link.mode = 0o120_777;
    let mut stored = ZipEntry::new(b"p-1/stored", b"as it is");
    stored.deflate = false;
    let bytes = zip(&[
        ZipEntry::new(b"p-1/", b""),
        ZipEntry::new(b"p-1/a.py", b"a = 1\n"),
        script,
        link,
        stored,
    ]);
    let (report, there) = unpacked(&bytes, &Limits::default());
    assert_eq!((report.files, report.refused_total), (3, 0), "{report:?}");
    assert_eq!(there, ["a.py", "link -> run.sh", "run.sh", "stored"]);
}

#[test]
fn denied_names_that_leave() {
    for name in [
        &b"../evil"[..],
        b"/tmp/evil",
        b"p-1/../../evil",
        b"p-1/x/../../../evil",
    ] {
        refused(&tar(|t| tar_entry(t, b'0', name, b"", b"evil")));
        let both = [
            ZipEntry::new(b"p-1/setup.py", b"pass\n"),
            ZipEntry::new(name, b"evil"),
        ];
        refused(&unpacked(&zip(&both), &Limits::default()));
    }
    let long = pax("path", "../../evil");
    refused(&tar(|t| {
        tar_entry(t, b'x', b"PaxHeader", b"", &long);
        tar_entry(t, b'0', b"p-1/good", b"", b"evil");
    }));
    refused(&tar(|t| {
        tar_entry(t, b'L', b"././@LongLink", b"", b"/tmp/evil\0");
        tar_entry(t, b'0', b"p-1/good", b"", b"evil");
    }));
}

#[test]
fn allowed_names_from_extended_headers() {
    let long = format!("p-1/{}/x.py", "d".repeat(120));
    for (kind, header) in [
        (b'x', pax("path", &long)),
        (b'L', format!("{long}\0").into_bytes()),
    ] {
        let (report, there) = tar(|t| {
            tar_entry(t, kind, b"header", b"", &header);
            tar_entry(t, b'0', b"p-1/cut", b"", b"x");
        });
        assert_eq!(report.refused_total, 0, "{report:?}");
        assert_eq!(there.len(), 2);
        assert!(there[0].ends_with("ddd/x.py"));
    }
}

#[test]
fn denied_links_out() {
    for target in [
        &b"/etc/passwd"[..],
        b"../../etc/passwd",
        b"..",
        b"../p-2/x",
        b"a/../../../x",
    ] {
        let why = refused(&tar(|t| tar_entry(t, b'2', b"p-1/link", target, b"")));
        assert!(why.contains("link"), "{why}");
    }
    for target in [&b"../../etc/passwd"[..], b"/etc/passwd", b"p-1/nowhere", b"p-1"] {
        let why = refused(&tar(|t| tar_entry(t, b'1', b"p-1/link", target, b"")));
        assert!(why.contains("link"), "{why}");
    }
}

#[test]
fn denied_a_chain_of_links_that_leads_out() {
    let (report, there) = tar(|t| {
        tar_entry(t, b'0', b"p-1/a/b/c/file", b"", b"");
        tar_entry(t, b'2', b"p-1/deep", b"a/b/c", b"");
        tar_entry(t, b'2', b"p-1/a/up", b"../deep/../../..", b"");
        tar_entry(t, b'2', b"p-1/out", b"a/up/../x", b"");
    });
    // lexically `deep/../../..` stays inside; really it is p-1 itself, and one more step leaves
    assert_eq!(report.refused_total, 1, "{report:?}");
    assert!(
        there.contains(&"a/up -> ../deep/../../..".to_owned()),
        "{there:?}"
    );
    assert!(!there.iter().any(|name| name.starts_with("out")));
}

#[test]
fn denied_links_in_a_circle_and_allowed_ones_that_end() {
    let (report, there) = tar(|t| {
        tar_entry(t, b'2', b"p-1/a", b"b", b"");
        tar_entry(t, b'2', b"p-1/b", b"a", b"");
        tar_entry(t, b'2', b"p-1/c", b"setup.py", b"");
        tar_entry(t, b'2', b"p-1/d", b"not-there", b"");
    });
    assert_eq!(report.refused_total, 2);
    assert_eq!(there, ["c -> setup.py", "d -> not-there", "setup.py"]);
}

#[test]
fn denied_writing_through_a_link() {
    let (report, there) = tar(|t| {
        tar_entry(t, b'5', b"p-1/real/", b"", b"");
        tar_entry(t, b'2', b"p-1/link", b"real", b"");
        tar_entry(t, b'0', b"p-1/link/file", b"", b"x");
        tar_entry(t, b'0', b"p-1/real/file", b"", b"x");
    });
    assert_eq!(report.refused_total, 1);
    assert_eq!(there, ["link -> real", "real/file", "setup.py"]);
}

#[test]
fn denied_devices_and_pipes() {
    for kind in [b'3', b'4', b'6', b'Z'] {
        refused(&tar(|t| tar_entry(t, kind, b"p-1/special", b"", b"")));
    }
    let mut fifo = ZipEntry::new(b"p-1/fifo", b"");
    fifo.mode = 0o010_644;
    refused(&unpacked(
        &zip(&[ZipEntry::new(b"p-1/setup.py", b""), fifo]),
        &Limits::default(),
    ));
}

#[test]
fn denied_duplicate_names_the_first_one_is_kept() {
    let found = tar(|t| tar_entry(t, b'0', b"p-1/./setup.py", b"", b"evil\n"));
    assert!(refused(&found).contains("duplicate"));
    assert_eq!(found.0.bytes, 5);
    let both = [
        ZipEntry::new(b"p-1/setup.py", b"first"),
        ZipEntry::new(b"p-1/setup.py", b"second!"),
    ];
    let found = unpacked(&zip(&both), &Limits::default());
    assert!(refused(&found).contains("duplicate"));
    assert_eq!(found.0.bytes, 5);
}

#[test]
fn case_tricks_are_told_and_not_refused() {
    let (report, there) = tar(|t| tar_entry(t, b'0', b"p-1/SETUP.py", b"", b""));
    assert_eq!((report.refused_total, report.refused.len()), (0, 1));
    assert!(report.refused[0].why.contains("only in case"), "{report:?}");
    assert_eq!(there, ["SETUP.py", "setup.py"]);
}

#[test]
fn special_bits_of_modes_are_dropped_and_times_are_sane() {
    let dir = tempfile::tempdir().unwrap();
    let mut bytes = Vec::new();
    tar_entry(&mut bytes, b'0', b"p-1/tool", b"", b"#!/bin/sh\n");
    tar_end(&mut bytes);
    let archive = put(dir.path(), "a", &bytes);
    unpack(&archive, &dir.path().join("out"), &Limits::default());
    let meta = dir.path().join("out/tool").metadata().unwrap();
    assert_eq!(meta.permissions().mode() & 0o7777 & !0o022, 0o755);
    let age = meta
        .modified()
        .unwrap()
        .duration_since(std::time::UNIX_EPOCH)
        .unwrap()
        .as_secs();
    assert_eq!(age, 0o14_000_000_000);
}

#[test]
fn names_that_are_not_utf8_are_kept_byte_by_byte() {
    let (report, there) = tar(|t| tar_entry(t, b'0', b"p-1/\xff\xfe.py", b"", b""));
    assert_eq!((report.refused_total, there.len()), (0, 2));
    let mut lying = ZipEntry::new(b"p-1/\xff.py", b"");
    lying.flags = 0x800;
    refused(&unpacked(
        &zip(&[ZipEntry::new(b"p-1/setup.py", b""), lying]),
        &Limits::default(),
    ));
}

#[test]
fn limits_bite_and_what_fits_passes() {
    let mut bytes = Vec::new();
    for n in 0..10 {
        tar_entry(&mut bytes, b'0', format!("p/{n}").as_bytes(), b"", &[b'x'; 100]);
    }
    tar_end(&mut bytes);
    let of = |limits: &Limits| fatal(&unpacked(&bytes, limits).0);
    assert_eq!(
        of(&Limits {
            entries: 10,
            ..Limits::default()
        }),
        ""
    );
    assert!(
        of(&Limits {
            entries: 9,
            ..Limits::default()
        })
        .contains("entries")
    );
    assert_eq!(
        of(&Limits {
            file_bytes: 100,
            ..Limits::default()
        }),
        ""
    );
    assert!(
        of(&Limits {
            file_bytes: 99,
            ..Limits::default()
        })
        .contains("more than 99")
    );
    assert_eq!(
        of(&Limits {
            total_bytes: 11_264,
            ..Limits::default()
        }),
        ""
    );
    assert!(
        of(&Limits {
            total_bytes: 5000,
            ..Limits::default()
        })
        .contains("5000")
    );
}

#[test]
fn denied_a_bomb_and_allowed_much_honest_air() {
    let zeros = vec![0; 70 << 20];
    let mut bytes = Vec::new();
    tar_entry(&mut bytes, b'0', b"p/zeros", b"", &zeros);
    tar_end(&mut bytes);
    let (report, _) = unpacked(&gzip(&bytes), &Limits::default());
    assert!(fatal(&report).contains("bomb"), "{report:?}");
    let (report, _) = unpacked(&zip(&[ZipEntry::new(b"p/zeros", &zeros)]), &Limits::default());
    assert!(fatal(&report).contains("bomb"), "{report:?}");
    let (report, there) = unpacked(
        &zip(&[ZipEntry::new(b"p/zeros", &zeros[..60 << 20])]),
        &Limits::default(),
    );
    assert_eq!((fatal(&report), there.len()), (String::new(), 1));
}

#[test]
fn denied_zip_entries_that_share_bytes() {
    let mut second = ZipEntry::new(b"p/a", b"content");
    second.offset = Some(0);
    let (report, _) = unpacked(
        &zip(&[ZipEntry::new(b"p/a", b"content"), second]),
        &Limits::default(),
    );
    assert!(fatal(&report).contains("share"), "{report:?}");
}

#[test]
fn denied_zip_entries_that_are_hidden_or_say_two_things() {
    let good = ZipEntry::new(b"p-1/setup.py", b"");
    let mut other = ZipEntry::new(b"p-1/shown.py", b"x");
    other.local_name = b"p-1/hides.py".to_vec();
    assert!(refused(&unpacked(&zip(&[good.clone(), other]), &Limits::default())).contains("another name"));
    let mut locked = ZipEntry::new(b"p-1/locked", b"x");
    locked.flags = 1;
    assert!(refused(&unpacked(&zip(&[good.clone(), locked]), &Limits::default())).contains("encrypted"));
    let mut longer = ZipEntry::new(b"p-1/longer", b"0123456789");
    longer.size = 5;
    assert!(fatal(&unpacked(&zip(&[good.clone(), longer]), &Limits::default()).0).contains("longer"));
    let mut shorter = ZipEntry::new(b"p-1/shorter", b"0123456789");
    shorter.size = 50;
    assert!(fatal(&unpacked(&zip(&[good.clone(), shorter]), &Limits::default()).0).contains("shorter"));
    let mut damaged = ZipEntry::new(b"p-1/damaged", b"0123456789");
    damaged.crc ^= 1;
    assert!(fatal(&unpacked(&zip(&[good.clone(), damaged]), &Limits::default()).0).contains("checksum"));

    // an archive within the gap before the central directory
    let mut bytes = zip(&[good]);
    let directory = bytes.windows(4).position(|w| w == b"PK\x01\x02").unwrap();
    bytes.splice(directory..directory, b"PK\x03\x04 hidden".iter().copied());
    let at = bytes.len() - 6;
    let start = u32::try_from(directory + 11).unwrap();
    bytes[at..at + 4].copy_from_slice(&start.to_le_bytes());
    assert!(refused(&unpacked(&bytes, &Limits::default())).contains("belong to none"));
}

#[test]
fn what_stands_before_or_after_is_told() {
    let good = zip(&[ZipEntry::new(b"p-1/setup.py", b"")]);
    let mut before = b"PK\x03\x04 a stub that starts like a zip".to_vec();
    before.extend(&good);
    assert!(refused(&unpacked(&before, &Limits::default())).contains("before the archive"));
    let mut after = good;
    after.extend(b"garbage");
    assert!(refused(&unpacked(&after, &Limits::default())).contains("follow"));

    let mut tar = Vec::new();
    tar_entry(&mut tar, b'0', b"p-1/setup.py", b"", b"");
    tar_end(&mut tar);
    tar.resize(10240, 0);
    assert_eq!(
        unpacked(&gzip(&tar), &Limits::default()).0.refused_total,
        0,
        "padding is no garbage"
    );
    let mut zipped = gzip(&tar);
    zipped.extend(b"garbage");
    assert!(refused(&unpacked(&zipped, &Limits::default())).contains("follows"));
    tar.extend(b"garbage");
    assert!(refused(&unpacked(&tar, &Limits::default())).contains("follows"));
}

#[test]
fn denied_sizes_that_two_readers_would_read_differently() {
    let with = |size: &str| {
        let header = pax("size", size);
        tar(|t| {
            tar_entry(t, b'x', b"PaxHeader", b"", &header);
            tar_entry(t, b'0', b"p-1/file", b"", b"12345");
        })
    };
    assert!(fatal(&with("0").0).contains("lies"));
    assert_eq!(fatal(&with("5").0), "");
    let sparse = pax("GNU.sparse.realsize", "99999999999");
    refused(&tar(|t| {
        tar_entry(t, b'x', b"PaxHeader", b"", &sparse);
        tar_entry(t, b'0', b"p-1/sparse", b"", b"12345");
    }));
    assert!(fatal(&tar(|t| tar_entry(t, b'S', b"p-1/sparse", b"", b"")).0).contains("sparse"));
}

#[test]
fn denied_huge_extended_headers_and_cut_archives() {
    let huge = vec![b'a'; 2 << 20];
    assert!(fatal(&tar(|t| tar_entry(t, b'L', b"long", b"", &huge)).0).contains("extended header"));
    let mut cut = Vec::new();
    tar_entry_of_size(&mut cut, b'0', b"p-1/file", b"", b"12345", 5000);
    assert!(fatal(&unpacked(&cut, &Limits::default()).0).contains("ends within"));
    let whole = gzip(&cut);
    assert_ne!(
        fatal(&unpacked(&whole[..whole.len() - 9], &Limits::default()).0),
        ""
    );
}

#[test]
fn denied_what_is_no_archive() {
    for bytes in [&b""[..], b"<html>", b"\x1f\x8b\x08", &[0; 2048], b"PK\x05\x06"] {
        assert_ne!(fatal(&unpacked(bytes, &Limits::default()).0), "", "{bytes:?}");
    }
    let missing = unpack(
        Path::new("/does/not/exist"),
        Path::new("/does/not/exist/either"),
        &Limits::default(),
    );
    assert!(missing.fatal.is_some());
}

#[test]
fn archives_without_one_folder_at_the_top_stay_as_they_are() {
    let (report, there) = tar(|t| tar_entry(t, b'0', b"other/file", b"", b""));
    assert_eq!(report.root, None);
    assert_eq!(there, ["other/file", "p-1/setup.py"]);
    let (report, there) = tar(|t| tar_entry(t, b'0', b"._p-1", b"", b"finder"));
    assert_eq!((report.root, report.files), (Some("p-1".into()), 1));
    assert_eq!(there, ["setup.py"]);
}

fn any_name() -> impl Strategy<Value = Vec<u8>> {
    let part = proptest::sample::select(vec![&b".."[..], b".", b"", b"a", b"b", b"A", b"\xff", b"link"]);
    proptest::collection::vec(part, 1..6).prop_map(|parts| parts.join(&b'/'))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn random_bytes_never_panic(bytes in proptest::collection::vec(any::<u8>(), 0..2000), start in 0..6_usize) {
        let magic = [&b""[..], b"PK\x03\x04", b"\x1f\x8b\x08", b"BZh9", b"\xfd7zXZ\0", b"\x28\xb5\x2f\xfd"][start];
        unpacked(&[magic, &bytes].concat(), &Limits::default());
    }

    #[test]
    fn damaged_archives_never_panic(at in 0..4000_usize, with: u8, zipped: bool) {
        let mut bytes = if zipped {
            zip(&[ZipEntry::new(b"p/a", b"some content"), ZipEntry::new(b"p/b", &[7; 300])])
        } else {
            let mut tar = Vec::new();
            tar_entry(&mut tar, b'x', b"h", b"", &pax("path", "p/long"));
            tar_entry(&mut tar, b'0', b"p/a", b"", b"some content");
            tar_end(&mut tar);
            tar
        };
        let at = at % bytes.len();
        bytes[at] = with;
        unpacked(&bytes, &Limits::default());
    }

    #[test]
    fn nothing_is_written_outside_and_no_link_leads_out(
        entries in proptest::collection::vec((any_name(), any_name(), 0..4_usize), 1..30)
    ) {
        let dir = tempfile::tempdir().unwrap();
        let mut bytes = Vec::new();
        for (name, link, kind) in &entries {
            tar_entry(&mut bytes, b"0125"[*kind], name, link, b"");
        }
        tar_end(&mut bytes);
        let archive = put(dir.path(), "archive", &bytes);
        let out = dir.path().join("x/out");
        let report = unpack(&archive, &out, &Limits::default());
        prop_assert!(report.fatal.is_none(), "{report:?}");
        let mut roots = listing(dir.path());
        roots.retain(|name| !name.starts_with("x/out/"));
        prop_assert_eq!(roots, vec!["archive".to_owned()]);
        let inside = out.canonicalize().unwrap();
        for name in listing(&out) {
            if let Some((link, _)) = name.split_once(" -> ")
                && let Ok(real) = out.join(link).canonicalize()
            {
                prop_assert!(real.starts_with(&inside), "{link} leads to {}", real.display());
            }
        }
    }
}
