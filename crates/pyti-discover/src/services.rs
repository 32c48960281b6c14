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

/// What the tests' imports, the authors' CI and the wrappers of their command show; each once, in order of the alphabet,
/// with the words that tell why.
pub(crate) fn wanted(suite: &Suite, flows: &[Workflow], runs: Option<&Runs>) -> Vec<(String, String)> {
    let mut found: Vec<(String, String)> = Vec::new();
    for (name, hard) in &suite.imports {
        let top = name.split('.').next().unwrap_or(name);
        if *hard && let Some((_, service)) = CLIENTS.iter().find(|(client, _)| *client == top) {
            found.push(((*service).to_owned(), format!("the tests import {top}")));
        }
    }
    for service in runs.into_iter().flat_map(|runs| &runs.services) {
        found.push((
            (*service).to_owned(),
            "a wrapper of the authors' command offers it".to_owned(),
        ));
    }
    for flow in flows {
        for service in &flow.services {
            found.push((service.clone(), format!("{} starts it", flow.file)));
        }
    }
    // of several signs the first is told
    found.sort_by(|a, b| a.0.cmp(&b.0));
    found.dedup_by(|a, b| a.0 == b.0);
    found
}
