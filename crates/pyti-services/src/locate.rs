//! Where the program of a service lies on this machine.

use std::path::{Path, PathBuf};

use crate::catalogue::Service;

/// The program; `None` when there is none. For what PyTI serves itself, the program is that of PyTI.
pub fn locate(service: &Service, own: &Path) -> Option<PathBuf> {
    if service.programs.is_empty() {
        return Some(own.to_owned());
    }
    service.programs.iter().find_map(|place| first(place))
}

/// What a place with at most one `*` stands for.
fn first(place: &str) -> Option<PathBuf> {
    let Some((before, after)) = place.split_once('*') else {
        return Some(PathBuf::from(place)).filter(|path| is_program(path));
    };
    let (folder, start) = before.rsplit_once('/')?;
    let after = after.trim_start_matches('/');
    let mut found: Vec<(u64, PathBuf)> = std::fs::read_dir(folder)
        .ok()?
        .flatten()
        .filter_map(|entry| {
            let name = entry.file_name().into_string().ok()?;
            let rest = name.strip_prefix(start)?;
            let path = entry.path().join(after);
            is_program(&path).then(|| (number(rest), path))
        })
        .collect();
    found.sort();
    found.pop().map(|(_, path)| path)
}

fn number(text: &str) -> u64 {
    let digits: String = text.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(0)
}

fn is_program(path: &Path) -> bool {
    use std::os::unix::fs::PermissionsExt as _;
    path.metadata()
        .is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_is_a_program_that_can_be_run() {
        assert_eq!(first("/bin/sh"), Some(PathBuf::from("/bin/sh")));
        assert_eq!(first("/bin/no-such-program"), None);
        assert_eq!(first("/etc/passwd"), None, "a file, and no program");
        assert_eq!(first("/dev/null"), None, "no file");
    }

    #[test]
    fn a_star_is_one_folder() {
        assert_eq!(first("/usr/b*/sh"), Some(PathBuf::from("/usr/bin/sh")));
        assert_eq!(first("/no-such-folder/*/sh"), None);
        assert_eq!((number("15"), number("9.6"), number("x")), (15, 9, 0));
    }
}
