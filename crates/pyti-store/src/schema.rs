//! The tables, and how a database of one version becomes one of another.

use rusqlite::Connection;

use crate::error::{Result, StoreError};

/// One step of the database's life, and back.
struct Migration {
    up: &'static str,
    down: &'static str,
}

/// In order; the database's `user_version` says how many were done.
const MIGRATIONS: &[Migration] = &[
    Migration {
        up: "
CREATE TABLE project (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE              -- normalized
) STRICT;
CREATE TABLE version (
  id INTEGER PRIMARY KEY,
  project INTEGER NOT NULL REFERENCES project,
  text TEXT NOT NULL,
  sort_key BLOB NOT NULL,                -- compares as versions do
  UNIQUE (project, text)
) STRICT;
CREATE INDEX version_by_age ON version (project, sort_key DESC);
CREATE TABLE file (
  id INTEGER PRIMARY KEY,
  version INTEGER NOT NULL REFERENCES version,
  project INTEGER NOT NULL REFERENCES project,
  name TEXT NOT NULL,
  sha256 BLOB NOT NULL,
  size INTEGER NOT NULL,
  kind INTEGER NOT NULL,
  uploaded INTEGER NOT NULL,             -- milliseconds since 1970
  state INTEGER NOT NULL DEFAULT 0,      -- bits: yanked, quarantined, removed
  blob INTEGER REFERENCES blob           -- the captured file
) STRICT;
CREATE INDEX file_by_sha256 ON file (sha256);
CREATE INDEX file_by_version ON file (version);
CREATE INDEX file_by_project ON file (project);
CREATE TABLE env (
  id INTEGER PRIMARY KEY,
  platform TEXT NOT NULL,
  interpreter TEXT NOT NULL,
  isolation TEXT NOT NULL,
  options TEXT NOT NULL,
  UNIQUE (platform, interpreter, isolation, options)
) STRICT;
CREATE TABLE reason (id INTEGER PRIMARY KEY, code TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE rule (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE) STRICT;
CREATE TABLE blob (
  id INTEGER PRIMARY KEY,
  sha256 BLOB NOT NULL UNIQUE,
  size INTEGER NOT NULL,
  class INTEGER NOT NULL,                -- how long it is kept
  added INTEGER NOT NULL,
  gone INTEGER NOT NULL DEFAULT 0
) STRICT;
CREATE TABLE result (
  id INTEGER PRIMARY KEY AUTOINCREMENT,  -- order of commits, and the cursor of the stream of results
  job INTEGER NOT NULL UNIQUE,
  file INTEGER NOT NULL REFERENCES file,
  env INTEGER NOT NULL REFERENCES env,
  project INTEGER NOT NULL REFERENCES project,
  finished INTEGER NOT NULL,
  status INTEGER NOT NULL,
  reason INTEGER NOT NULL,               -- the first; 0: none
  verdict INTEGER NOT NULL,
  blame INTEGER NOT NULL,
  cost INTEGER NOT NULL,
  passed INTEGER NOT NULL,
  failed INTEGER NOT NULL,
  recording INTEGER REFERENCES blob,
  more TEXT,                             -- what a page says besides, JSON
  sum INTEGER NOT NULL                   -- over the other columns
) STRICT;
CREATE INDEX result_by_file ON result (file, env, id DESC);
CREATE INDEX result_by_project ON result (project, id DESC);
CREATE INDEX result_by_time ON result (finished, status, reason);
CREATE INDEX result_by_reason ON result (reason, id DESC);
CREATE INDEX result_by_verdict ON result (verdict, id DESC);
CREATE TABLE current (
  file INTEGER NOT NULL,
  env INTEGER NOT NULL,
  project INTEGER NOT NULL,
  result INTEGER NOT NULL,
  PRIMARY KEY (file, env)
) STRICT, WITHOUT ROWID;
CREATE INDEX current_by_project ON current (project);
CREATE TABLE finding (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  result INTEGER NOT NULL REFERENCES result,
  rule INTEGER NOT NULL REFERENCES rule,
  state INTEGER NOT NULL,
  severity INTEGER NOT NULL,
  sentence TEXT NOT NULL,
  events TEXT NOT NULL,                  -- numbers in the recording, JSON
  sum INTEGER NOT NULL
) STRICT;
CREATE INDEX finding_by_rule ON finding (rule, id DESC);
CREATE INDEX finding_by_severity ON finding (severity, id DESC);
CREATE INDEX finding_by_result ON finding (result);
CREATE INDEX finding_counts ON finding (rule, state, severity);
CREATE TABLE hourly (
  hour INTEGER NOT NULL, status INTEGER NOT NULL, reason INTEGER NOT NULL, n INTEGER NOT NULL,
  PRIMARY KEY (hour, status, reason)
) STRICT, WITHOUT ROWID;
CREATE TABLE daily (
  day INTEGER NOT NULL, status INTEGER NOT NULL, reason INTEGER NOT NULL, n INTEGER NOT NULL,
  PRIMARY KEY (day, status, reason)
) STRICT, WITHOUT ROWID;
CREATE TABLE need (
  id INTEGER PRIMARY KEY,
  platform TEXT NOT NULL,
  interpreter TEXT NOT NULL,
  isolation TEXT NOT NULL,
  memory_mib INTEGER NOT NULL,
  UNIQUE (platform, interpreter, isolation, memory_mib)
) STRICT;
CREATE TABLE spec (
  id INTEGER PRIMARY KEY,
  sha256 BLOB NOT NULL UNIQUE,
  body BLOB                              -- none: only its hash is known
) STRICT;
CREATE TABLE worker (
  id INTEGER PRIMARY KEY,
  name TEXT NOT NULL UNIQUE,
  standing INTEGER NOT NULL,
  quiet INTEGER NOT NULL,                -- milliseconds of quarantine
  offers TEXT NOT NULL,                  -- JSON
  boot INTEGER NOT NULL,
  request INTEGER NOT NULL,
  ends INTEGER NOT NULL,
  quarantines INTEGER NOT NULL,
  probation INTEGER NOT NULL,
  counted_boot INTEGER NOT NULL
) STRICT;
CREATE TABLE job (
  id INTEGER PRIMARY KEY,
  sha256 BLOB NOT NULL,
  spec INTEGER NOT NULL REFERENCES spec,
  generation INTEGER NOT NULL,
  project INTEGER NOT NULL REFERENCES project,
  need INTEGER NOT NULL REFERENCES need,
  priority INTEGER NOT NULL,
  entered INTEGER NOT NULL,
  order_key INTEGER NOT NULL,
  state INTEGER NOT NULL,
  why INTEGER NOT NULL,                  -- of waiting and dead
  alone INTEGER NOT NULL,
  epoch INTEGER NOT NULL,
  lease BLOB UNIQUE,
  worker INTEGER REFERENCES worker,
  mark INTEGER NOT NULL,
  faults INTEGER NOT NULL,
  lost INTEGER NOT NULL,
  UNIQUE (sha256, spec, generation)
) STRICT;
-- of open jobs only; a statement must say so in these very words
CREATE INDEX job_by_turn ON job (state, need, alone, order_key, id) WHERE state < 3;
CREATE INDEX job_given_up ON job (id) WHERE state = 4;
CREATE INDEX job_by_worker ON job (worker, state);
CREATE INDEX job_by_project ON job (project, entered);
CREATE TABLE claim (
  worker INTEGER NOT NULL, boot INTEGER NOT NULL, request INTEGER NOT NULL, n INTEGER NOT NULL,
  job INTEGER NOT NULL, lease BLOB NOT NULL,
  PRIMARY KEY (worker, boot, request, n)
) STRICT, WITHOUT ROWID;
CREATE TABLE clock (id INTEGER PRIMARY KEY CHECK (id = 1), base INTEGER NOT NULL) STRICT;
INSERT INTO clock VALUES (1, 0);
CREATE TABLE outbox (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  kind INTEGER NOT NULL,
  subject INTEGER NOT NULL
) STRICT;
CREATE TABLE cursor (feed TEXT PRIMARY KEY, position TEXT NOT NULL) STRICT, WITHOUT ROWID;
CREATE TABLE event (
  id INTEGER PRIMARY KEY,
  feed TEXT NOT NULL,
  serial INTEGER NOT NULL,
  project TEXT NOT NULL,
  action TEXT NOT NULL,
  at INTEGER NOT NULL,
  state INTEGER NOT NULL DEFAULT 0,      -- 0 open, 1 expanded, 2 given up
  tries INTEGER NOT NULL DEFAULT 0,
  due INTEGER NOT NULL DEFAULT 0,
  UNIQUE (feed, serial)
) STRICT;
CREATE INDEX event_by_turn ON event (state, due);
",
        down: "
DROP TABLE event; DROP TABLE cursor; DROP TABLE outbox; DROP TABLE clock; DROP TABLE claim;
DROP TABLE job; DROP TABLE spec; DROP TABLE worker; DROP TABLE need; DROP TABLE daily; DROP TABLE hourly; DROP TABLE finding;
DROP TABLE current; DROP TABLE result; DROP TABLE file; DROP TABLE blob; DROP TABLE rule; DROP TABLE reason;
DROP TABLE env; DROP TABLE version; DROP TABLE project;
",
    },
    Migration {
        up: "
CREATE TABLE keep (
  space TEXT NOT NULL,
  key TEXT NOT NULL,
  value BLOB NOT NULL,
  until INTEGER,                         -- milliseconds since 1970
  PRIMARY KEY (space, key)
) STRICT, WITHOUT ROWID;
CREATE INDEX keep_by_end ON keep (until);
CREATE TABLE audit (
  id INTEGER PRIMARY KEY AUTOINCREMENT,
  at INTEGER NOT NULL,
  who TEXT NOT NULL,
  what TEXT NOT NULL,
  detail TEXT NOT NULL
) STRICT;
",
        down: "DROP TABLE audit; DROP TABLE keep;",
    },
    Migration {
        up: "
CREATE TABLE upload (
  file INTEGER PRIMARY KEY REFERENCES file, -- to be stored, whether a job wants it or not
  tries INTEGER NOT NULL DEFAULT 0,
  due INTEGER NOT NULL DEFAULT 0            -- milliseconds since 1970
) STRICT;
CREATE INDEX upload_by_turn ON upload (due);
",
        down: "DROP TABLE upload;",
    },
];

/// The newest schema that this program knows.
#[expect(clippy::cast_possible_truncation, reason = "a handful")]
pub const NEWEST: u32 = MIGRATIONS.len() as u32;

/// The schema of a database.
pub(crate) fn version(conn: &Connection) -> Result<u32> {
    Ok(conn.pragma_query_value(None, "user_version", |row| row.get(0))?)
}

/// Brings a database to a schema, up or down; each step is one transaction. Going down loses what only the newer one can hold.
pub(crate) fn migrate(conn: &mut Connection, wanted: u32) -> Result<()> {
    loop {
        let now = version(conn)?;
        if now > NEWEST || wanted > NEWEST {
            return Err(StoreError::Newer {
                found: now.max(wanted),
                known: NEWEST,
            });
        }
        if now == wanted {
            return Ok(());
        }
        let tx = conn.transaction()?;
        let next = if now < wanted {
            tx.execute_batch(MIGRATIONS[now as usize].up)?;
            now + 1
        } else {
            tx.execute_batch(MIGRATIONS[now as usize - 1].down)?;
            now - 1
        };
        tx.pragma_update(None, "user_version", next)?;
        tx.commit()?;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tables(conn: &Connection) -> Vec<String> {
        let sql =
            "SELECT sql FROM sqlite_schema WHERE sql IS NOT NULL AND name NOT LIKE 'sqlite_%' ORDER BY sql";
        let mut statement = conn.prepare(sql).unwrap();
        let rows = statement.query_map([], |row| row.get(0)).unwrap();
        rows.map(Result::unwrap).collect()
    }

    #[test]
    fn up_and_down_and_up_again_is_the_same() {
        let mut conn = Connection::open_in_memory().unwrap();
        let mut seen = vec![tables(&conn)];
        for step in 1..=NEWEST {
            migrate(&mut conn, step).unwrap();
            seen.push(tables(&conn));
        }
        assert!(seen.windows(2).all(|w| w[0] != w[1]));
        for step in (0..NEWEST).rev() {
            migrate(&mut conn, step).unwrap();
            assert_eq!(tables(&conn), seen[step as usize]);
        }
        migrate(&mut conn, NEWEST).unwrap();
        assert_eq!(tables(&conn), seen[NEWEST as usize]);
    }

    #[test]
    fn a_newer_database_is_refused() {
        let mut conn = Connection::open_in_memory().unwrap();
        migrate(&mut conn, NEWEST).unwrap();
        conn.pragma_update(None, "user_version", NEWEST + 1).unwrap();
        assert!(matches!(
            migrate(&mut conn, NEWEST),
            Err(StoreError::Newer { .. })
        ));
    }
}
