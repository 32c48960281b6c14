//! Tables of the ecosystem: import names whose distribution is called otherwise, and plugins of pytest.

/// The distribution that offers a top-level import name, where that is known.
pub(crate) fn distribution(import: &str) -> Option<&'static str> {
    const NAMES: &[(&str, &str)] = &[
        ("OpenSSL", "pyOpenSSL"),
        ("PIL", "pillow"),
        ("aiohttp", "aiohttp"),
        ("anyio", "anyio"),
        ("attr", "attrs"),
        ("attrs", "attrs"),
        ("babel", "babel"),
        ("brotli", "brotli"),
        ("bs4", "beautifulsoup4"),
        ("certifi", "certifi"),
        ("chardet", "chardet"),
        ("click", "click"),
        ("cloudpickle", "cloudpickle"),
        ("coverage", "coverage"),
        ("cryptography", "cryptography"),
        ("cv2", "opencv-python-headless"),
        ("dateutil", "python-dateutil"),
        ("ddt", "ddt"),
        ("django", "Django"),
        ("docutils", "docutils"),
        ("dotenv", "python-dotenv"),
        ("execnet", "execnet"),
        ("faker", "Faker"),
        ("filelock", "filelock"),
        ("flask", "Flask"),
        ("freezegun", "freezegun"),
        ("gevent", "gevent"),
        ("git", "GitPython"),
        ("greenlet", "greenlet"),
        ("hamcrest", "PyHamcrest"),
        ("httpx", "httpx"),
        ("hypothesis", "hypothesis"),
        ("jinja2", "Jinja2"),
        ("jsonschema", "jsonschema"),
        ("jwt", "PyJWT"),
        ("lxml", "lxml"),
        ("markdown", "Markdown"),
        ("markupsafe", "MarkupSafe"),
        ("mock", "mock"),
        ("mypy", "mypy"),
        ("nacl", "PyNaCl"),
        ("numpy", "numpy"),
        ("packaging", "packaging"),
        ("pandas", "pandas"),
        ("parameterized", "parameterized"),
        ("pkg_resources", "setuptools<81"),
        ("pluggy", "pluggy"),
        ("pretend", "pretend"),
        ("psutil", "psutil"),
        ("pydantic", "pydantic"),
        ("pygments", "Pygments"),
        ("pytest", "pytest"),
        ("pytest_asyncio", "pytest-asyncio"),
        ("pytest_httpserver", "pytest-httpserver"),
        ("pytest_mock", "pytest-mock"),
        ("pytest_subtests", "pytest-subtests"),
        ("pytz", "pytz"),
        ("requests", "requests"),
        ("requests_mock", "requests-mock"),
        ("responses", "responses"),
        ("respx", "respx"),
        ("rich", "rich"),
        ("scipy", "scipy"),
        ("serial", "pyserial"),
        ("setuptools", "setuptools"),
        ("six", "six"),
        ("sortedcontainers", "sortedcontainers"),
        ("sphinx", "Sphinx"),
        ("sqlalchemy", "SQLAlchemy"),
        ("testfixtures", "testfixtures"),
        ("testtools", "testtools"),
        ("time_machine", "time-machine"),
        ("toml", "toml"),
        ("tomli", "tomli"),
        ("tornado", "tornado"),
        ("tqdm", "tqdm"),
        ("trio", "trio"),
        ("trustme", "trustme"),
        ("twisted", "Twisted"),
        ("typing_extensions", "typing_extensions"),
        ("tzdata", "tzdata"),
        ("urllib3", "urllib3"),
        ("uvloop", "uvloop"),
        ("webtest", "WebTest"),
        ("werkzeug", "Werkzeug"),
        ("wheel", "wheel"),
        ("yaml", "PyYAML"),
        ("zmq", "pyzmq"),
    ];
    NAMES
        .binary_search_by(|(name, _)| (*name).cmp(import))
        .ok()
        .map(|at| NAMES[at].1)
}

/// The plugin that knows a command-line option of pytest, where it is not pytest's own.
pub(crate) fn plugin_of_option(option: &str) -> Option<&'static str> {
    let option = option.split('=').next().unwrap_or(option);
    Some(match option {
        _ if option == "--cov" || option.starts_with("--cov-") || option == "--no-cov" => "pytest-cov",
        "-n" | "--numprocesses" | "--dist" | "--maxprocesses" => "pytest-xdist",
        _ if option.starts_with("-n") && option[2..].chars().all(|c| c.is_ascii_alphanumeric()) => {
            "pytest-xdist"
        }
        "--asyncio-mode" => "pytest-asyncio",
        "--timeout" | "--timeout-method" | "--session-timeout" => "pytest-timeout",
        "--reruns" | "--reruns-delay" => "pytest-rerunfailures",
        "--hypothesis-profile" | "--hypothesis-show-statistics" => "hypothesis",
        "--ds" | "--reuse-db" | "--nomigrations" | "--no-migrations" => "pytest-django",
        "--disable-socket" | "--allow-hosts" => "pytest-socket",
        _ if option.starts_with("--benchmark-") => "pytest-benchmark",
        _ if option.starts_with("--flake8") => "pytest-flake8",
        _ if option.starts_with("--mypy") => "pytest-mypy",
        _ if option.starts_with("--mpl") => "pytest-mpl",
        _ if option.starts_with("--randomly") => "pytest-randomly",
        _ => return None,
    })
}

/// The plugin that knows a key of pytest's configuration.
pub(crate) fn plugin_of_key(key: &str) -> Option<&'static str> {
    Some(match key {
        "asyncio_mode" | "asyncio_default_fixture_loop_scope" => "pytest-asyncio",
        "timeout" | "timeout_method" => "pytest-timeout",
        "mock_use_standalone_module" => "pytest-mock",
        "trio_mode" => "pytest-trio",
        "DJANGO_SETTINGS_MODULE" | "django_settings_module" | "django_find_project" => "pytest-django",
        _ => return None,
    })
}

/// The plugin that offers a fixture which pytest could not find.
pub(crate) fn plugin_of_fixture(name: &str) -> Option<&'static str> {
    Some(match name {
        "event_loop" | "unused_tcp_port" | "unused_udp_port" | "unused_tcp_port_factory" => "pytest-asyncio",
        "aiohttp_client" | "aiohttp_server" | "aiohttp_raw_server" | "loop" | "loop_debug" => {
            "pytest-aiohttp"
        }
        "rf"
        | "admin_client"
        | "django_user_model"
        | "django_db_setup"
        | "django_assert_num_queries"
        | "settings"
        | "live_server"
        | "db"
        | "transactional_db" => "pytest-django",
        "httpx_mock" => "pytest-httpx",
        "fs" => "pyfakefs",
        "vcr" | "vcr_config" => "pytest-recording",
        "datadir" | "original_datadir" | "shared_datadir" | "lazy_datadir" => "pytest-datadir",
        "data_regression" | "file_regression" | "num_regression" | "image_regression" => "pytest-regressions",
        "snapshot" => "syrupy",
        "faker" => "Faker",
        "worker_id" | "testrun_uid" => "pytest-xdist",
        "cov" | "no_cover" => "pytest-cov",
        "nursery" | "autojump_clock" => "pytest-trio",
        "anyio_backend" => "anyio",
        "qtbot" | "qapp" => "pytest-qt",
        "tornado_server" | "http_client" => "pytest-tornado",
        "console_scripts" | "script_runner" => "pytest-console-scripts",
        "smtpd" => "pytest-smtpd",
        "celery_app" | "celery_worker" => "pytest-celery",
        "localserver" | "smtpserver" => "pytest-localserver",
        other => return plugin_of_word(other),
    })
}

/// The plugin that knows a mark of pytest.
pub(crate) fn plugin_of_mark(name: &str) -> Option<&'static str> {
    Some(match name {
        "asyncio" => "pytest-asyncio",
        "trio" => "pytest-trio",
        "anyio" => "anyio",
        "timeout" => "pytest-timeout",
        "flaky" => "pytest-rerunfailures",
        "django_db" => "pytest-django",
        "benchmark" => "pytest-benchmark",
        "respx" => "respx",
        "forked" => "pytest-forked",
        "freeze_time" => "pytest-freezer",
        "vcr" => "pytest-recording",
        "order" => "pytest-order",
        "dependency" => "pytest-dependency",
        "mpl_image_compare" => "pytest-mpl",
        _ => return None,
    })
}

/// The plugin that a word of a test file shows: a fixture's name or a mark.
pub(crate) fn plugin_of_word(word: &str) -> Option<&'static str> {
    Some(match word {
        "mocker" => "pytest-mock",
        "asyncio" => "pytest-asyncio",
        "httpserver" => "pytest-httpserver",
        "requests_mock" => "requests-mock",
        "respx_mock" => "respx",
        "subtests" => "pytest-subtests",
        "freezer" => "pytest-freezer",
        "httpbin" | "httpbin_secure" => "pytest-httpbin",
        "benchmark" => "pytest-benchmark",
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_plugins_are_found() {
        assert_eq!(distribution("yaml"), Some("PyYAML"));
        assert_eq!(distribution("zmq"), Some("pyzmq"));
        assert_eq!(distribution("OpenSSL"), Some("pyOpenSSL"));
        assert_eq!(distribution("no_such"), None);
        assert_eq!(plugin_of_option("--cov=x"), Some("pytest-cov"));
        assert_eq!(plugin_of_option("-nauto"), Some("pytest-xdist"));
        assert_eq!(plugin_of_option("-q"), None);
    }
}
