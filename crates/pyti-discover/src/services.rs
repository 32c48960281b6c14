//! Services that tests are likely to want. Likely: what they really try to reach is seen when they run.

use crate::commandline::Runs;
use crate::suite::Suite;
use crate::workflow::Workflow;

/// Import names, and the service that they speak with.
const CLIENTS: &[(&str, &str)] = &[
    ("MySQLdb", "mariadb"),
    ("aio_pika", "rabbitmq"),
    ("aiomysql", "mariadb"),
    ("aioredis", "redis"),
    ("asyncpg", "postgresql"),
    ("dbus", "dbus"),
    ("dbus_next", "dbus"),
    ("memcache", "memcached"),
    ("motor", "mongodb"),
    ("mysql", "mariadb"),
    ("pg8000", "postgresql"),
    ("pika", "rabbitmq"),
    ("psycopg", "postgresql"),
    ("psycopg2", "postgresql"),
    ("pylibmc", "memcached"),
    ("pymemcache", "memcached"),
    ("pymongo", "mongodb"),
    ("pymysql", "mariadb"),
    ("redis", "redis"),
    ("tkinter", "xvfb"),
    ("valkey", "redis"),
    ("wx", "xvfb"),
];

/// What the tests' imports, the authors' CI and the wrappers of their command show; each once, in order of the alphabet.
pub(crate) fn wanted(suite: &Suite, flows: &[Workflow], runs: Option<&Runs>) -> Vec<String> {
    let mut found: Vec<String> = flows
        .iter()
        .flat_map(|flow| flow.services.iter().cloned())
        .collect();
    found.extend(
        runs.into_iter()
            .flat_map(|runs| runs.services.iter().map(ToString::to_string)),
    );
    for (name, hard) in &suite.imports {
        let top = name.split('.').next().unwrap_or(name);
        if *hard && let Some((_, service)) = CLIENTS.iter().find(|(client, _)| *client == top) {
            found.push((*service).to_owned());
        }
    }
    found.sort();
    found.dedup();
    found
}
