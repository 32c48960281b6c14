//! The verb `__unpack`: an archive becomes a tree in a box.
//!
//! What is refused and what makes an archive unusable is told in `docs/archives.md`.

use std::ffi::OsString;
use std::fs::File;
use std::os::unix::process::CommandExt as _;
use std::path::Path;
use std::process::{Command, ExitCode};

use pyti_model::raw::Unpack;

use crate::archive::{self, Format};
use crate::limits::Limits;
use crate::results::{self, Arguments, ParseError};
use crate::tree::{Fatal, Tree};
use crate::{arrange, tarball, unzip};

/// The verb.
pub const VERB: &str = "__unpack";
/// Bytes of results that are believed at most.
const RESULTS: usize = 4 << 20;

/// What shall be unpacked, and how the tree is arranged then.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Request {
    /// Path of the archive.
    pub archive: String,
    /// Folder for its content; it is made when it is not there. Of an archive with one folder at the top, that
    /// folder's content goes there.
    pub destination: String,
    /// Parts of the tree that are taken away, relative to the destination, after grafting.
    pub hide: Vec<String>,
    /// Parts of the tree that are copied: path in the tree, absolute path of the copy.
    pub graft: Vec<(String, String)>,
    /// What runs then, in the place of this program.
    pub then: Option<Then>,
}

/// A program that follows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Then {
    /// Its working directory.
    pub cwd: String,
    /// Its name (looked up in `PATH`, as usual) and arguments.
    pub argv: Vec<String>,
}

/// The command line that fulfils a request. `results_fd` must be open in the new process.
pub fn argv(request: &Request, program: &str, results_fd: i32) -> Vec<String> {
    let mut argv: Vec<String> = [
        program,
        VERB,
        "--results",
        &results_fd.to_string(),
        "--archive",
        &request.archive,
    ]
    .map(str::to_owned)
    .into();
    argv.extend(["--destination".to_owned(), request.destination.clone()]);
    for (part, to) in &request.graft {
        argv.extend(["--graft".to_owned(), part.clone(), to.clone()]);
    }
    for part in &request.hide {
        argv.extend(["--hide".to_owned(), part.clone()]);
    }
    if let Some(then) = &request.then {
        argv.extend(["--cwd".to_owned(), then.cwd.clone(), "--".to_owned()]);
        argv.extend(then.argv.iter().cloned());
    }
    argv
}

/// The opposite of [`argv`], without program and verb.
fn request(args: Vec<OsString>) -> Result<(Request, i32), String> {
    let mut args = Arguments::new(args);
    let (mut request, mut fd, mut cwd) = (Request::default(), None, None);
    while let Some(option) = args.next()? {
        match option.as_str() {
            "--results" => fd = Some(args.descriptor(&option)?),
            "--archive" => request.archive = args.value(&option)?,
            "--destination" => request.destination = args.value(&option)?,
            "--hide" => request.hide.push(args.value(&option)?),
            "--graft" => request.graft.push((args.value(&option)?, args.value(&option)?)),
            "--cwd" => cwd = Some(args.value(&option)?),
            "--" => {
                let cwd = cwd.take().ok_or("a program that follows wants --cwd")?;
                request.then = Some(Then {
                    cwd,
                    argv: args.rest()?,
                });
            }
            other => return Err(format!("unknown option {other}")),
        }
    }
    if request.archive.is_empty() || request.destination.is_empty() {
        return Err("--archive and --destination are wanted".into());
    }
    if request.then.as_ref().is_some_and(|then| then.argv.is_empty()) {
        return Err("a program is wanted after --".into());
    }
    Ok((request, fd.ok_or("--results is wanted")?))
}

/// Runs the verb with the arguments after it.
///
/// Results are written when nothing follows, or when what follows cannot be started (exit code
/// [`results::NOT_STARTED`]). An unusable archive is a result, not a failure of the verb.
pub fn main(args: Vec<OsString>) -> ExitCode {
    let (request, fd) = match request(args) {
        Ok(parsed) => parsed,
        Err(why) => return results::complain(results::BAD_ARGUMENTS, &format!("{VERB}: {why}")),
    };
    let destination = Path::new(&request.destination);
    let mut report = unpack(Path::new(&request.archive), destination, &Limits::default());
    if report.fatal.is_none()
        && let Err(why) = arrange(&request, destination)
    {
        report.fatal = Some(why.into());
    }
    let Some(then) = request.then else {
        return results::write(fd, &report, 0);
    };
    if report.fatal.is_none() {
        let mut command = Command::new(&then.argv[0]);
        let error = command.args(&then.argv[1..]).current_dir(&then.cwd).exec();
        report.fatal = Some(format!("{} cannot be started in {}: {error}", then.argv[0], then.cwd).into());
    }
    results::write(fd, &report, results::NOT_STARTED)
}

fn arrange(request: &Request, root: &Path) -> Result<(), String> {
    for (part, to) in &request.graft {
        arrange::graft(root, part, Path::new(to))?;
    }
    request.hide.iter().try_for_each(|part| arrange::hide(root, part))
}

/// Parses what the verb wrote.
pub fn parse(results: &[u8]) -> Result<Unpack, ParseError> {
    results::parse(VERB, results, RESULTS)
}

/// Unpacks an archive. What cannot be used at all is told in the result's `fatal`, and leaves nothing behind.
pub fn unpack(archive: &Path, destination: &Path, limits: &Limits) -> Unpack {
    let unusable = |why: String| Unpack {
        fatal: Some(why.into()),
        ..Unpack::default()
    };
    let opened = File::open(archive).map_err(|e| format!("the archive cannot be opened: {e}"));
    let (file, format) = match opened.and_then(|mut file| Ok((archive::detect(&mut file)?, file))) {
        Ok((format, file)) => (file, format),
        Err(why) => return unusable(why),
    };
    let mut tree = match Tree::new(destination, limits) {
        Ok(tree) => tree,
        Err(error) => return unusable(format!("the folder for it cannot be made: {error}")),
    };
    let read = if format == Format::Zip {
        unzip::read(file, &mut tree, limits)
    } else {
        archive::stream(file, format, limits)
            .map_err(|e| Fatal(format!("the archive cannot be read: {e}")))
            .and_then(|stream| tarball::read(stream, &mut tree, limits))
    };
    match read {
        Ok(()) => tree.finish(),
        Err(fatal) => tree.abandon(&fatal),
    }
}
