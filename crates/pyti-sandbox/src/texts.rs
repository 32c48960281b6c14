//! A command's words as the kernel wants them, made before the fork.

use std::ffi::{CString, OsStr};
use std::os::unix::ffi::OsStrExt as _;

use crate::enter::{c_path, c_text};
use crate::spec::Command;

/// Texts that the pointers of the child point at.
pub(crate) struct Texts {
    pub(crate) argv: Vec<CString>,
    pub(crate) env: Vec<CString>,
    /// Where the program may be, in order.
    pub(crate) programs: Vec<CString>,
}

impl Texts {
    /// `None` for an empty command or a text with a zero byte.
    pub(crate) fn new(command: &Command) -> Option<Self> {
        let argv: Vec<CString> = command
            .argv
            .iter()
            .map(|a| c_text(a))
            .collect::<Result<_, _>>()
            .ok()?;
        let program = command.argv.first()?;
        let mut env = Vec::new();
        for (name, value) in &command.env {
            let mut text = name.as_bytes().to_vec();
            text.push(b'=');
            text.extend_from_slice(value.as_bytes());
            env.push(CString::new(text).ok()?);
        }
        let programs = if program.as_bytes().contains(&b'/') {
            vec![c_text(program).ok()?]
        } else {
            let path = command
                .env
                .iter()
                .find(|(name, _)| name == "PATH")
                .map(|(_, value)| value.as_os_str());
            let path = path.unwrap_or(OsStr::new("/usr/local/bin:/usr/bin:/bin"));
            std::env::split_paths(path)
                .map(|folder| c_path(&folder.join(program)))
                .collect::<Result<_, _>>()
                .ok()?
        };
        Some(Self { argv, env, programs })
    }
}

/// Pointers as `execve` wants them. They are good for as long as the texts are.
pub(crate) fn pointers(texts: &[CString]) -> Vec<*const libc::c_char> {
    texts
        .iter()
        .map(|text| text.as_ptr())
        .chain(std::iter::once(std::ptr::null()))
        .collect()
}
