//! What texts of builds, interpreters and tests mean, as data.
//!
//! Records come first (exceptions that a probe saw, compiler calls, contacts, limits); text only refines a failure
//! that is already certain, so that no package can talk itself into another status by printing. Every pattern says
//! why it is there, and has a sample that it takes and a look-alike that it leaves alone; a test goes through all.

use std::sync::LazyLock;

use pyti_model::outcome::ReasonCode;
use regex::Regex;

/// Where a text was said; a pattern names the places where it means something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place(u8);

impl Place {
    /// While it was built, or asked what its build needs.
    pub const BUILD: Self = Self(1);
    /// While a module was imported.
    pub const IMPORT: Self = Self(2);
    /// While tests ran.
    pub const TEST: Self = Self(4);
    /// While requirements were locked.
    pub const RESOLVE: Self = Self(8);

    /// Either of the two.
    #[must_use]
    pub const fn or(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    const fn meets(self, other: Self) -> bool {
        self.0 & other.0 != 0
    }
}

/// One thing that texts say.
#[derive(Debug)]
pub struct Pattern {
    /// What it means.
    pub code: ReasonCode,
    /// Where it means that.
    pub places: Place,
    /// A part that is always there, looked for first because that is cheap.
    pub hint: &'static str,
    /// The pattern, ASCII only. Group 1, where there is one, is the detail.
    pub regex: &'static str,
    /// The detail, where the pattern has no group.
    pub detail: &'static str,
    /// Who says that, and why it means this.
    pub why: &'static str,
    /// Something it takes, and the detail that it gives.
    pub sample: (&'static str, &'static str),
    /// Something close that it must leave alone.
    pub harmless: &'static str,
}

/// Something that a text says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// What it means.
    pub code: ReasonCode,
    /// What it is about.
    pub detail: String,
}

/// Bytes looked at, of the beginning and of the end each.
const LOOKED_AT: usize = 192 << 10;
/// Different details of one pattern that are kept.
const MOST_DETAILS: usize = 3;
/// Bytes of a detail.
const DETAIL_BYTES: usize = 200;

static COMPILED: LazyLock<Vec<(&'static Pattern, Regex)>> = LazyLock::new(|| {
    // A test proves that none of them is refused.
    PATTERNS
        .iter()
        .filter_map(|p| Regex::new(p.regex).ok().map(|regex| (p, regex)))
        .collect()
});

/// What a text says, most telling first.
pub fn scan(text: &str, place: Place) -> Vec<Found> {
    let mut found: Vec<Found> = Vec::new();
    for part in ends(text) {
        for (pattern, regex) in COMPILED.iter() {
            if !pattern.places.meets(place) || !part.contains(pattern.hint) {
                continue;
            }
            for captures in regex.captures_iter(part).take(50) {
                let detail = captures.get(1).map_or(pattern.detail, |m| m.as_str());
                let detail = shorten(detail, DETAIL_BYTES).to_owned();
                let same = found.iter().filter(|f| f.code == pattern.code);
                if same.clone().count() < MOST_DETAILS && !same.clone().any(|f| f.detail == detail) {
                    found.push(Found {
                        code: pattern.code,
                        detail,
                    });
                }
            }
        }
    }
    let rank = |found: &Found| PATTERNS.iter().position(|p| p.code == found.code);
    found.sort_by_key(rank);
    found
}

/// The whole text, or its beginning and its end.
fn ends(text: &str) -> Vec<&str> {
    if text.len() <= 2 * LOOKED_AT {
        return vec![text];
    }
    let tail = (text.len() - LOOKED_AT..text.len())
        .find(|at| text.is_char_boundary(*at))
        .unwrap_or(text.len());
    vec![shorten(text, LOOKED_AT), &text[tail..]]
}

/// At most so many bytes of the beginning, whole characters.
pub(crate) fn shorten(text: &str, bytes: usize) -> &str {
    let mut end = text.len().min(bytes);
    while !text.is_char_boundary(end) {
        end -= 1;
    }
    &text[..end]
}

const BUILT: Place = Place::BUILD.or(Place::RESOLVE);
const LOADED: Place = Place::BUILD.or(Place::IMPORT);
const ANY: Place = Place::BUILD.or(Place::IMPORT).or(Place::TEST);
const USED: Place = Place::IMPORT.or(Place::TEST);

macro_rules! patterns {
    ($($code:ident in $places:expr, $hint:literal, $regex:literal => $detail:literal;
       why $why:literal; takes $sample:literal => $sample_detail:literal; not $harmless:literal;)+) => {
        /// All patterns; earlier ones are more telling.
        pub const PATTERNS: &[Pattern] = &[$(Pattern {
            code: ReasonCode::$code, places: $places, hint: $hint, regex: $regex, detail: $detail, why: $why,
            sample: ($sample, $sample_detail), harmless: $harmless,
        }),+];
    };
}

patterns! {
    Python2Only in LOADED, "Missing parentheses in call to", "Missing parentheses in call to '(print|exec)'" => "";
        why "the compiler of CPython 3 recognises statements of Python 2";
        takes "SyntaxError: Missing parentheses in call to 'print'. Did you mean print(...)?" => "print";
        not "SyntaxError: Missing parentheses in call to 'foo'";
    Python2Only in LOADED, "exception types must be parenthesized", "multiple exception types must be parenthesized" => "except X, e";
        why "`except X, e:` is Python 2; CPython 3 says so";
        takes "SyntaxError: multiple exception types must be parenthesized" => "except X, e";
        not "SyntaxError: exception types must be classes";
    Python2Only in LOADED, "except ", "(?m)^ *(except [A-Za-z_.]+, *[A-Za-z_]+:)" => "";
        why "the source line that a SyntaxError shows";
        takes "  File \"setup.py\", line 3\n    except ValueError, e:\n" => "except ValueError, e:";
        not "    except (ValueError, TypeError):\n";
    Python2Only in LOADED, "raise ", "(?m)^ *(raise [A-Za-z_.]+, *[\"'A-Za-z])[^\\n]*\\n *\\^" => "";
        why "`raise X, text` is Python 2; the line below it marks where CPython 3 stopped";
        takes "    raise ValueError, \"no\"\n                    ^\n" => "raise ValueError, \"";
        not "    raise ValueError(a, \"no\")\n         ^\n";
    Python2Only in LOADED, "leading zeros", "leading zeros in decimal integer literals are not permitted" => "octal number 0777";
        why "0777 is an octal number of Python 2 only";
        takes "SyntaxError: leading zeros in decimal integer literals are not permitted; use an 0o prefix" => "octal number 0777";
        not "leading zeros in version numbers";
    Python2Only in LOADED, "NameError", "NameError: name '(unicode|basestring|xrange|raw_input|execfile|unichr|long)' is not defined" => "";
        why "built-in names that Python 3 has no more";
        takes "NameError: name 'execfile' is not defined. Did you mean: 'exec'?" => "execfile";
        not "NameError: name 'unicodedata2' is not defined";
    BuildUse2to3 in BUILT, "use_2to3", "(use_2to3) is (?:invalid|no longer supported)" => "";
        why "setuptools from 58 on refuses the argument";
        takes "error in demjson setup command: use_2to3 is invalid." => "use_2to3";
        not "use_2to3 is set";
    BuildCythonIncompatible in BUILT, "cython_sources", "(cython_sources)" => "";
        why "an old PyYAML asks Cython's build_ext for a property that Cython 3 has no more";
        takes "AttributeError: cython_sources" => "cython_sources";
        not "cython sources";
    BuildCythonIncompatible in BUILT, "longintrepr.h", "(longintrepr\\.h): No such file" => "";
        why "C that Cython 0.29 made, compiled with CPython 3.12 or later, which moved that header";
        takes "src/a.c:196:12: fatal error: longintrepr.h: No such file or directory" => "longintrepr.h";
        not "#include \"longintrepr.h\"";
    BuildCythonIncompatible in BUILT, "has no member named", "has no member named .{1,3}(use_tracing|exc_type|curexc_type|tp_print|ob_digit|co_varnames|f_lineno)[^a-z_]" => "";
        why "fields of CPython's structures that Cython's older C reaches into";
        takes "error: 'PyThreadState' has no member named 'use_tracing'" => "use_tracing";
        not "error: 'struct x' has no member named 'y'";
    BuildCythonIncompatible in BUILT, "_PyLong_AsByteArray", "too few arguments to function .{1,3}(_PyLong_AsByteArray)" => "";
        why "CPython 3.13 gave it one more argument; C of an older Cython calls it with five";
        takes "error: too few arguments to function '_PyLong_AsByteArray'" => "_PyLong_AsByteArray";
        not "call of _PyLong_AsByteArray";
    BuildCythonIncompatible in BUILT, "Cython.Compiler.Errors.", "Cython\\.Compiler\\.Errors\\.(CompileError: [^\\n]+)" => "";
        why "this Cython refuses the sources";
        takes "Cython.Compiler.Errors.CompileError: src/a.pyx" => "CompileError: src/a.pyx";
        not "import Cython.Compiler.Errors";
    MissingSystemLibrary in BUILT, "fatal error: ", "fatal error: '?([A-Za-z0-9_./+-]+\\.(?:h|hpp|hh|hxx))'?(?:: No such file| file not found)" => "";
        why "gcc and clang stop at a header that is not there";
        takes "a.c:1:10: fatal error: Python.h: No such file or directory" => "Python.h";
        not "a.c:1:10: fatal error: too many errors emitted, see a.h";
    MissingSystemLibrary in BUILT, "cannot find -l", "cannot find -l([A-Za-z0-9_+.-]*[A-Za-z0-9_+])" => "";
        why "the linker names a library that is not there";
        takes "/usr/bin/ld: cannot find -lfoo: No such file or directory" => "foo";
        not "cannot find -L/usr/lib";
    MissingSystemLibrary in BUILT, "search path", "Package ([A-Za-z0-9_.+-]+) was not found in the pkg-config search path" => "";
        why "pkg-config";
        takes "Package libffi was not found in the pkg-config search path." => "libffi";
        not "Package x was not found in the index search path";
    MissingSystemLibrary in BUILT, "No package '", "No package '([A-Za-z0-9_.+-]+)' found" => "";
        why "pkg-config";
        takes "No package 'cairo' found" => "cairo";
        not "No package named cairo found";
    MissingSystemLibrary in BUILT, "ERROR: Dependency \"", "ERROR: Dependency \"([^\"\\n]+)\" not found" => "";
        why "meson ends at a dependency that it must have";
        takes "../meson.build:4:0: ERROR: Dependency \"openblas\" not found, tried pkgconfig" => "openblas";
        not "Run-time dependency openblas found: NO";
    MissingSystemLibrary in BUILT, "Unknown compiler(s)", "Unknown compiler\\(s\\): \\[\\['([A-Za-z0-9_.+-]+)'" => "";
        why "meson finds no compiler for a language";
        takes "ERROR: Unknown compiler(s): [['gfortran'], ['flang']]" => "gfortran";
        not "ERROR: Unknown compiler flags";
    MissingSystemLibrary in BUILT, "Could NOT find ", "CMake Error[^\\n]*\\n *Could NOT find ([A-Za-z0-9_]+)" => "";
        why "CMake ends at a package that it must have; without `CMake Error` before it, it is only told";
        takes "CMake Error at /usr/share/FindPackage.cmake:230 (message):\n  Could NOT find OpenSSL, try" => "OpenSSL";
        not "-- Could NOT find OpenSSL, try";
    MissingSystemLibrary in BUILT, "_config", "([a-z0-9]+_config)(?: executable)?(?::)? not found" => "";
        why "setup.py of bindings that ask a program for flags";
        takes "Error: pg_config executable not found." => "pg_config";
        not "my_config was found";
    MissingSystemLibrary in BUILT, "failed: No such file", "error: command '([^'\\n]+)' failed: No such file or directory" => "";
        why "setuptools runs a program that is not there";
        takes "error: command 'swig' failed: No such file or directory" => "swig";
        not "error: command 'gcc' failed with exit code 1";
    MissingSystemLibrary in BUILT, "No such file or directory: '", "No such file or directory: '((?:[a-z0-9]+[-_]config)|cmake|swig|gcc|cc|g\\+\\+|make|ninja|cargo|rustc|go|gfortran|pkg-config|nvcc|java|node|npm)'" => "";
        why "Python runs a program that is not there";
        takes "FileNotFoundError: [Errno 2] No such file or directory: 'cmake'" => "cmake";
        not "FileNotFoundError: [Errno 2] No such file or directory: 'README.md'";
    MissingSystemLibrary in BUILT, "find Rust compiler", "can't find Rust compiler" => "rustc";
        why "setuptools-rust without Rust";
        takes "error: can't find Rust compiler" => "rustc";
        not "found Rust compiler";
    MissingSystemLibrary in BUILT, "Rust package manager", "Cargo, the Rust package manager, is not installed" => "cargo";
        why "maturin without Rust";
        takes "Cargo, the Rust package manager, is not installed or is not on PATH." => "cargo";
        not "the Rust package manager works";
    MissingSystemLibrary in BUILT, "libxslt development", "(libxml2) and libxslt development packages are installed" => "";
        why "lxml's setup.py";
        takes "Error: Please make sure the libxml2 and libxslt development packages are installed." => "libxml2";
        not "libxml2 and libxslt found";
    NetworkNeeded in BUILT, "ould not resolve host", "[Cc]ould not resolve host:? '?([A-Za-z0-9.-]+)" => "";
        why "curl, git and cargo";
        takes "fatal: unable to access: Could not resolve host: code.example.invalid" => "code.example.invalid";
        not "resolved host: code.example.invalid";
    NetworkNeeded in ANY, "ame resolution", "[Tt]emporary failure in name resolution" => "";
        why "the C library, when no name server answers";
        takes "socket.gaierror: [Errno -3] Temporary failure in name resolution" => "";
        not "name resolution worked";
    NetworkNeeded in ANY, "Name or service not known", "Name or service not known" => "";
        why "the C library, when a name is not there";
        takes "socket.gaierror: [Errno -2] Name or service not known" => "";
        not "service not known";
    NetworkNeeded in ANY, "failed to lookup address", "failed to lookup address information" => "";
        why "Rust's standard library";
        takes "dns error: failed to lookup address information: Name" => "";
        not "failed to lookup address book";
    NetworkNeeded in ANY, "Network is unreachable", "\\[Errno 101\\] Network is unreachable" => "";
        why "an address that no route leads to";
        takes "OSError: [Errno 101] Network is unreachable" => "";
        not "Network is unreachable? no";
    BuildCompilerError in BUILT, ": error: ", "(?m)^([^\\n: ]+\\.(?:c|cc|cpp|cxx|h|hpp|pyx|f|f90|m):[0-9]+:[0-9]+: error: [^\\n]+)" => "";
        why "gcc and clang";
        takes "src/a.c:3:5: error: unknown type name 'foo'\n" => "src/a.c:3:5: error: unknown type name 'foo'";
        not "src/a.c:3:5: warning: unused variable 'x'\n";
    BuildCompilerError in BUILT, "failed with exit", "error: command '([^'\\n]+)' failed with exit (?:code|status)" => "";
        why "setuptools, when a compiler or linker failed";
        takes "error: command '/usr/bin/gcc' failed with exit code 1" => "/usr/bin/gcc";
        not "the command 'ls' ended with exit code 1";
    BuildCompilerError in BUILT, "could not compile `", "error: could not compile `([^`\\n]+)`" => "";
        why "cargo";
        takes "error: could not compile `thing` (lib) due to 2 previous errors" => "thing";
        not "Compiling `thing`";
    BuildBackendMissing in BUILT, "BackendUnavailable", "BackendUnavailable(?:: ([^\\n]+))?" => "";
        why "pyproject-hooks, when the backend cannot be imported";
        takes "pyproject_hooks._impl.BackendUnavailable: Cannot import 'foo.build'" => "Cannot import 'foo.build'";
        not "Backend unavailable soon";
    MissingTestDependency in Place::TEST, "' not found", "fixture '(mocker|benchmark|httpserver|requests_mock|freezer|respx_mock|faker|snapshot|qtbot|datadir|event_loop|aiohttp_client)' not found" => "";
        why "pytest: a fixture that a well-known plugin brings";
        takes "E       fixture 'mocker' not found" => "mocker";
        not "E       fixture 'tmp_pth' not found";
    MissingTestDependency in Place::TEST, "unrecognized arguments", "error: unrecognized arguments: (--?[a-z][a-z-]*)" => "";
        why "pytest: an option that a plugin would bring";
        takes "pytest: error: unrecognized arguments: --cov=x" => "--cov";
        not "recognized arguments: --cov";
    MissingTestDependency in Place::TEST, "Missing required plugins", "Missing required plugins: ([A-Za-z0-9_.,>=< -]+)" => "";
        why "pytest's required_plugins";
        takes "ERROR: Missing required plugins: pytest-mock" => "pytest-mock";
        not "required plugins: pytest-mock";
    DisplayNeeded in USED, "isplay", "no display name and no \\$DISPLAY|(?:could not|[Cc]annot|[Uu]nable to) (?:connect to|open) (?:the )?(?:X )?display" => "";
        why "Tk, Qt, GTK and Xlib without a display";
        takes "_tkinter.TclError: no display name and no $DISPLAY environment variable" => "";
        not "the display was opened";
    CredentialsNeeded in USED, "redentials", "NoCredentialsError|DefaultCredentialsError|Unable to locate credentials" => "";
        why "libraries of cloud providers";
        takes "botocore.exceptions.NoCredentialsError: Unable to locate credentials" => "";
        not "Credentials: none";
    LocaleOrTimezone in USED, "unsupported locale setting", "(unsupported locale setting)" => "";
        why "locale.setlocale for a locale that the image has not";
        takes "locale.Error: unsupported locale setting" => "unsupported locale setting";
        not "unsupported setting";
    LocaleOrTimezone in USED, "No time zone found", "No time zone found with key ([A-Za-z0-9_/+-]+)" => "";
        why "zoneinfo without its data";
        takes "zoneinfo.ZoneInfoNotFoundError: 'No time zone found with key Europe/Berlin'" => "Europe/Berlin";
        not "time zone found with key UTC";
    LocaleOrTimezone in LOADED.or(Place::TEST), "codec can't", "('ascii' codec can't (?:de|en)code)" => "";
        why "text beyond ASCII under an ASCII locale";
        takes "UnicodeDecodeError: 'ascii' codec can't decode byte 0xc3 in position 1" => "'ascii' codec can't decode";
        not "UnicodeDecodeError: 'utf-8' codec can't decode byte 0xff";
    FilePermission in ANY, "PermissionError", "PermissionError: \\[Errno (?:1|13)\\][^:\\n]*: '([^'\\n]+)'" => "";
        why "Python names the path";
        takes "PermissionError: [Errno 13] Permission denied: '/usr/lib/x'" => "/usr/lib/x";
        not "PermissionError was not raised";
    FilePermission in ANY, "Read-only file system", "\\[Errno 30\\] Read-only file system: '([^'\\n]+)'" => "";
        why "Python names the path";
        takes "OSError: [Errno 30] Read-only file system: '/usr/share/x'" => "/usr/share/x";
        not "Read-only file system detected";
    LimitedByBox in ANY, "Invalid cross-device link", "\\[Errno 18\\] (Invalid cross-device link)" => "";
        why "renaming a folder of a lower layer fails with EXDEV on an overlay";
        takes "OSError: [Errno 18] Invalid cross-device link: 'a' -> 'b'" => "Invalid cross-device link";
        not "Invalid cross-device link is handled";
    Hardware in USED, "NVIDIA", "(Found no NVIDIA driver)" => "";
        why "torch without a graphics card";
        takes "RuntimeError: Found no NVIDIA driver on your system." => "Found no NVIDIA driver";
        not "NVIDIA driver found";
    Hardware in USED, "CUDA", "(No CUDA GPUs are available|CUDA driver version is insufficient)" => "";
        why "CUDA without a graphics card";
        takes "RuntimeError: No CUDA GPUs are available" => "No CUDA GPUs are available";
        not "CUDA is available";
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_pattern_is_accepted_takes_its_sample_and_leaves_its_look_alike() {
        for pattern in PATTERNS {
            let regex = Regex::new(pattern.regex).unwrap_or_else(|e| panic!("{}: {e}", pattern.regex));
            let (sample, detail) = pattern.sample;
            assert!(sample.contains(pattern.hint), "hint of {}", pattern.regex);
            let captures = regex
                .captures(sample)
                .unwrap_or_else(|| panic!("{} on {sample}", pattern.regex));
            assert_eq!(
                captures.get(1).map_or(pattern.detail, |m| m.as_str()),
                detail,
                "{}",
                pattern.regex
            );
            assert!(
                !regex.is_match(pattern.harmless),
                "{} takes {}",
                pattern.regex,
                pattern.harmless
            );
            assert!(!pattern.why.is_empty());
            let place = Place(pattern.places.0 & pattern.places.0.wrapping_neg());
            assert!(
                scan(sample, place).iter().any(|f| f.code == pattern.code),
                "scan of {sample}"
            );
        }
        assert_eq!(COMPILED.len(), PATTERNS.len());
    }

    #[test]
    fn more_telling_comes_first_and_places_count() {
        let text = "a.c:1:10: fatal error: ffi.h: No such file or directory\n\
                    error: command '/usr/bin/gcc' failed with exit code 1\n";
        let found = scan(text, Place::BUILD);
        assert_eq!(
            found[0],
            Found {
                code: ReasonCode::MissingSystemLibrary,
                detail: "ffi.h".into()
            }
        );
        assert_eq!(found[1].code, ReasonCode::BuildCompilerError);
        assert!(scan(text, Place::TEST).is_empty());
    }

    #[test]
    fn long_texts_are_looked_at_from_both_ends() {
        let filler = "\u{e9}".repeat(400 << 10);
        let text = format!("cannot find -lhead\n{filler}\ncannot find -ltail\n");
        let details: Vec<_> = scan(&text, Place::BUILD).into_iter().map(|f| f.detail).collect();
        assert_eq!(details, ["head", "tail"]);
    }
}
