use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError};

use pyti_model::plan::Interpreter;
use uv_pep440::Version;
use uv_platform_tags::{Arch, Os, Platform, Tags, TagsOptions};

/// Why an interpreter has no tags.
#[derive(Debug, thiserror::Error)]
pub enum TagsError {
    /// A version that is none.
    #[error("not a version of Python: {0:?}")]
    Version(String),
    /// A platform that is not supported.
    #[error("not a supported platform: {0:?}")]
    Platform(String),
    /// An implementation that is not known.
    #[error("no wheel tags for this interpreter: {0}")]
    Implementation(String),
}

/// The wheel tags that an interpreter takes on this machine, best first: its own ABI, abi3, pure; for the glibc of the
/// host (`manylinux`), else the 2.17 that every supported system has.
pub fn tags_of(interpreter: &Interpreter) -> Result<Arc<Tags>, TagsError> {
    // they are asked for with every page and file, and there are thousands of them
    static LAST: Mutex<Option<(Interpreter, Arc<Tags>)>> = Mutex::new(None);
    let mut last = LAST.lock().unwrap_or_else(PoisonError::into_inner);
    if let Some((known, tags)) = &*last
        && known == interpreter
    {
        return Ok(Arc::clone(tags));
    }
    let tags = Arc::new(compute(interpreter)?);
    *last = Some((interpreter.clone(), Arc::clone(&tags)));
    Ok(tags)
}

fn compute(interpreter: &Interpreter) -> Result<Tags, TagsError> {
    let version = Version::from_str(&interpreter.version)
        .map_err(|_| TagsError::Version(interpreter.version.clone()))?;
    let release = version.release();
    let part = |at: usize| release.get(at).and_then(|n| u8::try_from(*n).ok());
    let (Some(major), Some(minor)) = (part(0), part(1)) else {
        return Err(TagsError::Version(interpreter.version.clone()));
    };
    let machine = interpreter
        .platform
        .strip_prefix("linux_")
        .and_then(|machine| Arch::from_str(machine).ok())
        .ok_or_else(|| TagsError::Platform(interpreter.platform.clone()))?;
    let (glibc_major, glibc_minor) = glibc();
    let platform = Platform::new(
        Os::Manylinux {
            major: glibc_major,
            minor: glibc_minor,
        },
        machine,
    );
    let implementation = match interpreter.implementation.as_str() {
        // PyPy's own version is in its ABI tag; all that are supported are 7.3
        "pypy" => (7, 3),
        _ => (major, minor),
    };
    let options = TagsOptions {
        manylinux_compatible: true,
        gil_disabled: interpreter.free_threaded,
        debug_enabled: false,
        is_cross: false,
    };
    Tags::from_env(
        platform,
        (major, minor),
        &interpreter.implementation,
        implementation,
        options,
    )
    .map_err(|error| TagsError::Implementation(error.to_string()))
}

#[cfg(target_env = "gnu")]
fn glibc() -> (u16, u16) {
    // SAFETY: the call takes nothing and returns a static, NUL-terminated text.
    let text = unsafe { std::ffi::CStr::from_ptr(libc::gnu_get_libc_version()) };
    let text = text.to_str().unwrap_or("2.17");
    let mut parts = text.split('.').map(|part| part.parse().ok());
    match (parts.next().flatten(), parts.next().flatten()) {
        (Some(major), Some(minor)) => (major, minor),
        _ => (2, 17),
    }
}

#[cfg(not(target_env = "gnu"))]
fn glibc() -> (u16, u16) {
    (2, 17)
}
