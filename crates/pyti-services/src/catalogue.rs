//! What is known of each service: all as data.
//!
//! In texts, `{folder}` stands for the service's own folder, `{bin}` for the folder of its program, `{program}` for the
//! program itself, `{self}` for the program of PyTI.

/// A service.
#[derive(Debug, Clone, Copy)]
pub struct Service {
    /// Its name in PyTI.
    pub name: &'static str,
    /// Other names for it.
    pub aliases: &'static [&'static str],
    /// Places of a program for it, the best first. `*` stands for one folder; of several the one with the highest number
    /// is taken. Empty: PyTI itself.
    pub programs: &'static [&'static str],
    /// How it can be had.
    pub install: &'static str,
    /// The usual port. Nothing for what is reached otherwise.
    pub port: Option<u16>,
    /// Files that are written first: path, content.
    pub files: &'static [(&'static str, &'static str)],
    /// What prepares its folder, one after the other.
    pub prepare: &'static [Step],
    /// What serves, in the foreground.
    pub serve: &'static [&'static str],
    /// Variables of all its own programs.
    pub own_env: &'static [(&'static str, &'static str)],
    /// How it is known to be ready.
    pub ready: Ready,
    /// Variables for the tests. Those that are set already stay as they are.
    pub env: &'static [(&'static str, &'static str)],
    /// What tells its version.
    pub version: &'static [&'static str],
}

/// A command.
#[derive(Debug, Clone, Copy)]
pub struct Step {
    /// Program and arguments.
    pub argv: &'static [&'static str],
    /// What standard input gives.
    pub input: &'static str,
}

/// How a service is known to be ready.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Ready {
    /// Somebody who connects to its port and sends this is answered with this; empty: is greeted, or let in.
    Answers(&'static str, &'static str),
    /// This file is there and has this in it.
    Holds(&'static str, &'static str),
    /// This socket takes connections.
    Takes(&'static str),
}

const fn step(argv: &'static [&'static str]) -> Step {
    Step { argv, input: "" }
}

/// All of them.
pub const ALL: &[Service] = &[
    Service {
        name: "postgresql",
        aliases: &["postgres", "pgsql"],
        programs: &[
            "/usr/lib/postgresql/*/bin/postgres",
            "/usr/pgsql-*/bin/postgres",
            "/usr/bin/postgres",
        ],
        install: "apt-get install postgresql",
        port: Some(5432),
        files: &[(
            "{folder}/databases.sql",
            "CREATE ROLE dev SUPERUSER LOGIN;\n{databases}",
        )],
        prepare: &[
            // -N: nothing of this shall outlive a fall of the machine
            step(&[
                "{bin}/initdb",
                "-D",
                "{folder}/data",
                "-U",
                "postgres",
                "-A",
                "trust",
                "-E",
                "UTF8",
                "--locale=C.UTF-8",
                "-N",
            ]),
            Step {
                argv: &["{program}", "--single", "-F", "-D", "{folder}/data", "postgres"],
                input: "{folder}/databases.sql",
            },
        ],
        serve: &[
            "{program}",
            "-F",
            "-D",
            "{folder}/data",
            "-c",
            "listen_addresses=localhost",
            "-c",
            "unix_socket_directories=/run/postgresql,/tmp",
            "-c",
            "max_prepared_transactions=64",
            "-c",
            "wal_level=logical",
            "-c",
            "full_page_writes=off",
            "-c",
            "shared_buffers=32MB",
            "-c",
            "autovacuum=off",
        ],
        own_env: &[],
        // its last line; before, connections are refused with "the database system is starting up"
        ready: Ready::Holds("{folder}/data/postmaster.pid", "\nready"),
        env: &[
            ("PGHOST", "localhost"),
            ("PGPORT", "5432"),
            ("PGUSER", "postgres"),
            ("PGPASSWORD", "postgres"),
            ("PGDATABASE", "test"),
            (
                "DATABASE_URL",
                "postgresql://postgres:postgres@localhost:5432/test",
            ),
            ("POSTGRES_HOST", "localhost"),
            ("POSTGRES_PORT", "5432"),
            ("POSTGRES_USER", "postgres"),
            ("POSTGRES_PASSWORD", "postgres"),
            ("POSTGRES_DB", "test"),
        ],
        version: &["{program}", "--version"],
    },
    Service {
        name: "mariadb",
        aliases: &["mysql"],
        programs: &["/usr/sbin/mariadbd", "/usr/libexec/mariadbd", "/usr/bin/mariadbd"],
        install: "apt-get install mariadb-server",
        port: Some(3306),
        files: &[(
            "{folder}/databases.sql",
            "CREATE DATABASE IF NOT EXISTS test;\nCREATE DATABASE IF NOT EXISTS dev;\n\
             CREATE OR REPLACE USER 'root'@'localhost' IDENTIFIED BY '';\nGRANT ALL ON *.* TO 'root'@'localhost' WITH GRANT OPTION;\n\
             CREATE OR REPLACE USER 'dev'@'localhost' IDENTIFIED BY '';\nGRANT ALL ON *.* TO 'dev'@'localhost' WITH GRANT OPTION;\n\
             {databases}",
        )],
        prepare: &[step(&[
            "/usr/bin/mariadb-install-db",
            "--no-defaults",
            "--datadir={folder}/data",
            "--auth-root-authentication-method=normal",
            "--skip-name-resolve",
            "--innodb-log-file-size=4M",
            "--innodb-flush-log-at-trx-commit=0",
        ])],
        serve: &[
            "{program}",
            "--no-defaults",
            "--datadir={folder}/data",
            "--socket=/run/mysqld/mysqld.sock",
            "--pid-file={folder}/pid",
            "--bind-address=localhost",
            "--port=3306",
            "--init-file={folder}/databases.sql",
            "--innodb-buffer-pool-size=32M",
            "--innodb-log-file-size=4M",
            "--innodb-flush-log-at-trx-commit=0",
            "--performance-schema=OFF",
        ],
        own_env: &[],
        ready: Ready::Answers("", "mysql_native_password"),
        env: &[
            ("MYSQL_HOST", "127.0.0.1"),
            ("MYSQL_PORT", "3306"),
            ("MYSQL_USER", "root"),
            ("MYSQL_PASSWORD", ""),
            ("MYSQL_DATABASE", "test"),
            ("MYSQL_UNIX_PORT", "/run/mysqld/mysqld.sock"),
        ],
        version: &["{program}", "--no-defaults", "--version"],
    },
    Service {
        name: "redis",
        aliases: &["valkey", "redis-server", "keydb"],
        programs: &[
            "/usr/bin/redis-server",
            "/usr/bin/valkey-server",
            "/usr/local/bin/redis-server",
        ],
        install: "apt-get install redis-server",
        port: Some(6379),
        files: &[],
        prepare: &[],
        serve: &[
            "{program}",
            "--bind",
            "127.0.0.1",
            "-::1",
            "--port",
            "6379",
            "--dir",
            "{folder}",
            "--save",
            "",
            "--appendonly",
            "no",
            "--daemonize",
            "no",
        ],
        own_env: &[],
        ready: Ready::Answers("PING\r\n", "+PONG"),
        env: &[
            ("REDIS_HOST", "localhost"),
            ("REDIS_PORT", "6379"),
            ("REDIS_URL", "redis://localhost:6379/0"),
        ],
        version: &["{program}", "--version"],
    },
    Service {
        name: "memcached",
        aliases: &["memcache"],
        programs: &["/usr/bin/memcached", "/usr/local/bin/memcached"],
        install: "apt-get install memcached",
        port: Some(11211),
        files: &[],
        prepare: &[],
        serve: &[
            "{program}",
            "-l",
            "127.0.0.1",
            "-p",
            "11211",
            "-U",
            "0",
            "-m",
            "64",
        ],
        own_env: &[],
        ready: Ready::Answers("version\r\n", "VERSION"),
        env: &[
            ("MEMCACHED_HOST", "localhost"),
            ("MEMCACHED_PORT", "11211"),
            ("MEMCACHE_SERVERS", "localhost:11211"),
        ],
        version: &["{program}", "-V"],
    },
    Service {
        name: "rabbitmq",
        aliases: &["amqp"],
        programs: &["/usr/lib/rabbitmq/bin/rabbitmq-server"],
        install: "apt-get install rabbitmq-server",
        port: Some(5672),
        files: &[
            (
                "{folder}/rabbitmq.conf",
                "listeners.tcp.1 = 127.0.0.1:5672\nlog.console = true\nlog.file = false\nloopback_users = none\n",
            ),
            ("{folder}/enabled_plugins", "[].\n"),
        ],
        prepare: &[],
        serve: &["{program}"],
        own_env: &[
            ("RABBITMQ_BASE", "{folder}"),
            ("RABBITMQ_CONFIG_FILE", "{folder}/rabbitmq.conf"),
            ("RABBITMQ_CONF_ENV_FILE", "/dev/null"),
            ("RABBITMQ_ENABLED_PLUGINS_FILE", "{folder}/enabled_plugins"),
            ("RABBITMQ_LOG_BASE", "{folder}/log"),
            ("RABBITMQ_LOGS", "-"),
            ("RABBITMQ_MNESIA_BASE", "{folder}/data"),
            ("RABBITMQ_PID_FILE", "{folder}/pid"),
            ("RABBITMQ_NODENAME", "rabbit@localhost"),
            ("RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS", "+S 1:1 +sbwt none"),
            ("ERL_EPMD_ADDRESS", "127.0.0.1"),
        ],
        // it does not greet: who says that he speaks another AMQP is told which it speaks
        ready: Ready::Answers("AMQP\u{0}\u{0}\u{0}\u{0}", "AMQP"),
        env: &[
            ("RABBITMQ_HOST", "localhost"),
            ("RABBITMQ_PORT", "5672"),
            ("RABBITMQ_URL", "amqp://guest:guest@localhost:5672/"),
            ("AMQP_URL", "amqp://guest:guest@localhost:5672/"),
        ],
        version: &["/bin/ls", "/usr/lib/rabbitmq/lib"],
    },
    Service {
        name: "mongodb",
        aliases: &["mongo"],
        programs: &["/usr/bin/mongod", "/usr/local/bin/mongod"],
        install: "Debian has none: install the package mongodb-org of its makers",
        port: Some(27017),
        files: &[],
        prepare: &[],
        serve: &[
            "{program}",
            "--dbpath",
            "{folder}",
            "--bind_ip",
            "localhost",
            "--port",
            "27017",
            "--nounixsocket",
        ],
        own_env: &[],
        ready: Ready::Answers("", ""),
        env: &[
            ("MONGODB_HOST", "localhost"),
            ("MONGODB_PORT", "27017"),
            ("MONGODB_URI", "mongodb://localhost:27017/"),
            ("MONGODB_URL", "mongodb://localhost:27017/"),
            ("MONGO_URL", "mongodb://localhost:27017/"),
        ],
        version: &["{program}", "--version"],
    },
    Service {
        name: "smtp",
        aliases: &["mail", "mailhog", "mailpit"],
        programs: &[],
        install: "",
        port: Some(1025),
        files: &[],
        prepare: &[],
        serve: &["{self}", crate::smtp::VERB, "1025", "{folder}/mails"],
        own_env: &[],
        ready: Ready::Answers("", "220 "),
        env: &[
            ("SMTP_HOST", "localhost"),
            ("SMTP_PORT", "1025"),
            ("SMTP_SERVER", "localhost"),
            ("MAIL_SERVER", "localhost"),
            ("MAIL_PORT", "1025"),
            ("MAILS", "{folder}/mails"),
        ],
        version: &["{self}", "--version"],
    },
    Service {
        name: "s3",
        aliases: &["minio", "moto"],
        programs: &[
            "/usr/local/lib/pyti-services/moto/bin/moto_server",
            "/usr/local/bin/moto_server",
        ],
        install: "/usr/bin/python3 -m venv /usr/local/lib/pyti-services/moto && \
                  /usr/local/lib/pyti-services/moto/bin/pip install 'moto[server]'",
        port: Some(9000),
        files: &[],
        prepare: &[],
        serve: &["{program}", "-H", "127.0.0.1", "-p", "9000"],
        own_env: &[
            ("AWS_ACCESS_KEY_ID", "test"),
            ("AWS_SECRET_ACCESS_KEY", "test"),
            ("AWS_EC2_METADATA_DISABLED", "true"),
        ],
        ready: Ready::Answers("GET / HTTP/1.0\r\n\r\n", "HTTP/1."),
        env: &[
            ("AWS_ENDPOINT_URL", "http://127.0.0.1:9000"),
            ("AWS_ENDPOINT_URL_S3", "http://127.0.0.1:9000"),
            ("S3_ENDPOINT_URL", "http://127.0.0.1:9000"),
            ("AWS_DEFAULT_REGION", "us-east-1"),
        ],
        version: &[
            "{bin}/python",
            "-c",
            "import importlib.metadata as m; print('moto', m.version('moto'))",
        ],
    },
    Service {
        name: "xvfb",
        aliases: &["display", "x11"],
        programs: &["/usr/bin/Xvfb"],
        install: "apt-get install xvfb",
        port: None,
        files: &[],
        prepare: &[],
        serve: &[
            "{program}",
            ":99",
            "-screen",
            "0",
            "1280x1024x24",
            "-nolisten",
            "tcp",
            "-noreset",
            "-ac",
        ],
        own_env: &[],
        ready: Ready::Takes("/tmp/.X11-unix/X99"),
        env: &[("DISPLAY", ":99")],
        // it tells its version only when it starts
        version: &["{program}", "-version"],
    },
    Service {
        name: "dbus",
        aliases: &["d-bus"],
        programs: &["/usr/bin/dbus-daemon"],
        install: "apt-get install dbus",
        port: None,
        files: &[],
        prepare: &[],
        serve: &[
            "{program}",
            "--session",
            "--nofork",
            "--nopidfile",
            "--nosyslog",
            "--address=unix:path={folder}/bus",
        ],
        own_env: &[],
        ready: Ready::Takes("{folder}/bus"),
        env: &[("DBUS_SESSION_BUS_ADDRESS", "unix:path={folder}/bus")],
        version: &["{program}", "--version"],
    },
];

/// The service of this name, or one that goes by it.
pub fn find(name: &str) -> Option<&'static Service> {
    let name = name.to_ascii_lowercase();
    ALL.iter()
        .find(|service| service.name == name || service.aliases.contains(&name.as_str()))
}

/// The service that usually listens at this port.
pub fn at_port(port: u16) -> Option<&'static Service> {
    ALL.iter().find(|service| service.port == Some(port))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_found_by_their_aliases() {
        let mut names: Vec<&str> = ALL
            .iter()
            .flat_map(|s| std::iter::once(s.name).chain(s.aliases.iter().copied()))
            .collect();
        let all = names.len();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), all);
        assert_eq!(find("Valkey").map(|s| s.name), Some("redis"));
        assert!(find("oracle").is_none());
    }

    #[test]
    fn every_service_has_a_program_or_is_our_own_and_says_how_it_is_had() {
        for service in ALL {
            assert_eq!(
                service.programs.is_empty(),
                service.install.is_empty(),
                "{}",
                service.name
            );
            assert!(
                !service.serve.is_empty() && !service.env.is_empty(),
                "{}",
                service.name
            );
            let by_port = matches!(service.ready, Ready::Answers(..));
            assert!(!by_port || service.port.is_some(), "{}", service.name);
        }
    }

    #[test]
    fn ports_lead_to_services() {
        assert_eq!(at_port(5432).map(|s| s.name), Some("postgresql"));
        assert!(at_port(5433).is_none());
    }
}
