//! Ports, packages and modules that reasons name, and which status a reason stands for: all as data.

use pyti_model::outcome::{ReasonCode, Status};

/// TCP ports of services that test suites like to have, and their names.
pub const PORTS: &[(u16, &str)] = &[
    (25, "smtp"),
    (389, "ldap"),
    (1433, "mssql"),
    (1521, "oracle"),
    (1883, "mqtt"),
    (2181, "zookeeper"),
    (2375, "docker"),
    (2379, "etcd"),
    (3306, "mariadb"),
    (4222, "nats"),
    (4444, "selenium"),
    (5432, "postgresql"),
    (5672, "rabbitmq"),
    (6379, "redis"),
    (7687, "neo4j"),
    (8086, "influxdb"),
    (8123, "clickhouse"),
    (8500, "consul"),
    (9000, "s3"),
    (9042, "cassandra"),
    (9092, "kafka"),
    (9200, "elasticsearch"),
    (11211, "memcached"),
    (11300, "beanstalkd"),
    (27017, "mongodb"),
];

/// Headers (by their beginning), libraries, pkg-config names and programs, and the Debian package that has them.
pub const DEBIAN: &[(&str, &str)] = &[
    ("Python.h", "python3-dev"),
    ("alsa/", "libasound2-dev"),
    ("asound", "libasound2-dev"),
    ("avcodec", "libavcodec-dev"),
    ("blas", "libopenblas-dev"),
    ("bluetooth/", "libbluetooth-dev"),
    ("boost/", "libboost-all-dev"),
    ("bz2", "libbz2-dev"),
    ("bzlib.h", "libbz2-dev"),
    ("cairo", "libcairo2-dev"),
    ("cargo", "cargo"),
    ("cblas", "libopenblas-dev"),
    ("cc", "build-essential"),
    ("cmake", "cmake"),
    ("cups/", "libcups2-dev"),
    ("curl", "libcurl4-openssl-dev"),
    ("curses.h", "libncurses-dev"),
    ("dbus", "libdbus-1-dev"),
    ("expat", "libexpat1-dev"),
    ("ffi.h", "libffi-dev"),
    ("fftw3", "libfftw3-dev"),
    ("freetype", "libfreetype-dev"),
    ("fuse", "libfuse-dev"),
    ("g++", "build-essential"),
    ("gcc", "build-essential"),
    ("gdal", "libgdal-dev"),
    ("geos", "libgeos-dev"),
    ("gfortran", "gfortran"),
    ("girepository", "libgirepository1.0-dev"),
    ("glib", "libglib2.0-dev"),
    ("gmp", "libgmp-dev"),
    ("gobject-introspection", "libgirepository1.0-dev"),
    ("graphviz", "libgraphviz-dev"),
    ("gssapi", "libkrb5-dev"),
    ("hdf5", "libhdf5-dev"),
    ("jpeglib.h", "libjpeg-dev"),
    ("krb5", "libkrb5-dev"),
    ("lapack", "liblapack-dev"),
    ("lber.h", "libldap-dev"),
    ("ldap", "libldap-dev"),
    ("leveldb", "libleveldb-dev"),
    ("libffi", "libffi-dev"),
    ("libpq", "libpq-dev"),
    ("libusb", "libusb-1.0-0-dev"),
    ("libxml", "libxml2-dev"),
    ("libxslt", "libxslt1-dev"),
    ("linux/", "linux-libc-dev"),
    ("lz4", "liblz4-dev"),
    ("lzma", "liblzma-dev"),
    ("magic.h", "libmagic-dev"),
    ("mpfr", "libmpfr-dev"),
    ("mpi.h", "libopenmpi-dev"),
    ("mysql", "default-libmysqlclient-dev"),
    ("ncurses", "libncurses-dev"),
    ("netcdf", "libnetcdf-dev"),
    ("ninja", "ninja-build"),
    ("openblas", "libopenblas-dev"),
    ("openssl", "libssl-dev"),
    ("OpenSSL", "libssl-dev"),
    ("pcap", "libpcap-dev"),
    ("pcre", "libpcre3-dev"),
    ("pg_config", "libpq-dev"),
    ("pkg-config", "pkg-config"),
    ("portaudio", "portaudio19-dev"),
    ("pq", "libpq-dev"),
    ("proj.h", "libproj-dev"),
    ("readline", "libreadline-dev"),
    ("rustc", "rustc"),
    ("sasl", "libsasl2-dev"),
    ("SDL", "libsdl2-dev"),
    ("security/pam", "libpam0g-dev"),
    ("snappy", "libsnappy-dev"),
    ("sodium", "libsodium-dev"),
    ("sql.h", "unixodbc-dev"),
    ("sqlite3", "libsqlite3-dev"),
    ("ssl", "libssl-dev"),
    ("swig", "swig"),
    ("systemd/", "libsystemd-dev"),
    ("tiff", "libtiff-dev"),
    ("tk.h", "tk-dev"),
    ("uuid/", "uuid-dev"),
    ("X11/", "libx11-dev"),
    ("xml2", "libxml2-dev"),
    ("xmlsec", "libxmlsec1-dev"),
    ("xslt", "libxslt1-dev"),
    ("yaml", "libyaml-dev"),
    ("z", "zlib1g-dev"),
    ("zlib", "zlib1g-dev"),
    ("zmq", "libzmq3-dev"),
    ("zstd", "libzstd-dev"),
];

/// Modules of Python 2's library that Python 3 has under another name or not at all.
pub const PYTHON2_MODULES: &[&str] = &[
    "BaseHTTPServer",
    "ConfigParser",
    "Cookie",
    "HTMLParser",
    "Queue",
    "SimpleHTTPServer",
    "SocketServer",
    "StringIO",
    "Tkinter",
    "UserDict",
    "UserList",
    "UserString",
    "__builtin__",
    "anydbm",
    "cPickle",
    "cStringIO",
    "commands",
    "cookielib",
    "copy_reg",
    "exceptions",
    "htmlentitydefs",
    "httplib",
    "md5",
    "robotparser",
    "sets",
    "sha",
    "thread",
    "tkMessageBox",
    "urllib2",
    "urlparse",
    "xmlrpclib",
];

/// Modules of the library that an interpreter lacks when it was built without what they need.
pub const OPTIONAL_MODULES: &[&str] = &[
    "_bz2",
    "_ctypes",
    "_curses",
    "_curses_panel",
    "_dbm",
    "_gdbm",
    "_lzma",
    "_sqlite3",
    "_ssl",
    "_tkinter",
    "_uuid",
    "_zstd",
    "readline",
];

/// Modules that newer versions of Python 3 removed from the library.
pub const REMOVED_MODULES: &[&str] = &[
    "aifc",
    "asynchat",
    "asyncore",
    "audioop",
    "binhex",
    "cgi",
    "cgitb",
    "chunk",
    "crypt",
    "distutils",
    "imghdr",
    "imp",
    "lib2to3",
    "macpath",
    "mailcap",
    "msilib",
    "nis",
    "nntplib",
    "ossaudiodev",
    "parser",
    "pipes",
    "smtpd",
    "sndhdr",
    "spwd",
    "sunau",
    "symbol",
    "telnetlib",
    "uu",
    "xdrlib",
];

/// Modules of the library that only Windows has.
pub const WINDOWS_MODULES: &[&str] = &["_winreg", "msvcrt", "winreg", "winsound", "_winapi"];

/// The service that usually listens there.
pub fn service(port: u16) -> Option<&'static str> {
    PORTS.iter().find(|(p, _)| *p == port).map(|(_, name)| *name)
}

/// The Debian package for a header, library, pkg-config name or program: the longest entry that fits. An entry of
/// up to two letters must be the whole name.
pub fn debian(what: &str) -> Option<&'static str> {
    let fits = |entry: &str| what == entry || entry.len() > 2 && what.starts_with(entry);
    DEBIAN
        .iter()
        .filter(|(entry, _)| fits(entry))
        .max_by_key(|(entry, _)| entry.len())
        .map(|(_, package)| *package)
}

/// The status that a step ends in when this is why it failed; `None` for what only stands beside a status.
pub fn status_of(code: ReasonCode) -> Option<Status> {
    use ReasonCode as R;
    Some(match code {
        R::TestFailures
        | R::TestErrors
        | R::CollectionError
        | R::RunnerError
        | R::ImportError
        | R::Build
        | R::BuildCompilerError
        | R::BuildCythonIncompatible
        | R::BuildUse2to3
        | R::BuildBackendError
        | R::BuildNoWheel
        | R::Install
        | R::MissingTestDependency
        | R::UndeclaredDependency
        | R::MissingSystemLibrary
        | R::NetworkNeeded
        | R::ServiceNeeded
        | R::DisplayNeeded
        | R::CredentialsNeeded
        | R::LocaleOrTimezone
        | R::FilePermission
        | R::LimitedByBox => Status::Fail,
        R::Segfault | R::Abort | R::FatalPythonError | R::IllegalInstruction | R::OtherSignal => {
            Status::Crash
        }
        R::TimeLimit | R::Inactivity | R::MemoryLimit | R::PidsLimit | R::LogLimit | R::DiskLimit => {
            Status::Killed
        }
        R::SizePolicy | R::Policy | R::Unreliable => Status::Skip,
        R::RequiresPython
        | R::Python2Only
        | R::WindowsOnly
        | R::MacosOnly
        | R::NoMatchingWheel
        | R::Hardware => Status::Na,
        R::NoFiles
        | R::BadArchive
        | R::BadMetadata
        | R::HashMismatch
        | R::Quarantined
        | R::Unresolvable
        | R::ResolutionBudget
        | R::UnknownProject
        | R::BuildBackendMissing
        | R::DeliberateError => Status::Broken,
        R::Testbed | R::Download | R::Sandbox | R::Storage | R::WorkerLost | R::Interrupted => Status::Error,
        R::BuildExtensionDropped
        | R::NoTests
        | R::NoSdist
        | R::TestEnvDiffers
        | R::WheelDiffers
        | R::Survivors
        | R::FlakyTests
        | R::Yanked
        | R::StartChanged => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debian_packages_are_found_by_the_longest_entry() {
        assert_eq!(debian("Python.h"), Some("python3-dev"));
        assert_eq!(debian("libxml/xmlversion.h"), Some("libxml2-dev"));
        assert_eq!(debian("z"), Some("zlib1g-dev"));
        assert_eq!(debian("zeal.h"), None);
        assert_eq!(debian("pg_config"), Some("libpq-dev"));
        assert_eq!(debian("pqxx"), None);
    }

    #[test]
    fn services_are_known_by_port() {
        assert_eq!(service(5432), Some("postgresql"));
        assert_eq!(service(5433), None);
    }

    #[test]
    fn every_status_but_the_good_ones_has_a_reason() {
        for status in Status::ALL {
            let any = ReasonCode::ALL
                .iter()
                .any(|code| status_of(*code) == Some(status));
            assert_eq!(any, !status.is_good(), "{status}");
        }
    }
}
