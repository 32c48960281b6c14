//! Every statement that is run more than once. They stand in one place so that a test can ask the database for the plan of each
//! and refuse any that would walk through a big table.

macro_rules! statements {
    ($($name:ident = $sql:expr;)*) => {
        $(pub(crate) const $name: &str = $sql;)*
        /// All of them, by name.
        #[cfg(test)]
        pub(crate) const ALL: &[(&str, &str)] = &[$((stringify!($name), $name)),*];
    };
}

macro_rules! job {
    ($rest:literal) => {
        concat!(
            "SELECT job.id, job.sha256, spec.sha256, generation, project.name, platform, interpreter, isolation, memory_mib, \
             priority, entered, order_key, state, why, epoch, lease, worker.name, mark, faults, lost \
             FROM job JOIN need ON need.id = job.need JOIN spec ON spec.id = job.spec \
             JOIN project ON project.id = job.project LEFT JOIN worker ON worker.id = job.worker ",
            $rest
        )
    };
}

macro_rules! result {
    ($rest:literal) => {
        concat!(
            "SELECT result.id, job, result.file, result.env, result.project, finished, status, result.reason, verdict, blame, \
             cost, passed, failed, recording, more, sum, reason.code, blob.sha256, blob.size, blob.gone, \
             file.name, file.sha256, file.kind, file.state, file.uploaded, version.text, project.name, \
             env.platform, env.interpreter, env.isolation, env.options \
             FROM result JOIN file ON file.id = result.file JOIN version ON version.id = file.version \
             JOIN project ON project.id = result.project JOIN env ON env.id = result.env \
             LEFT JOIN reason ON reason.id = result.reason LEFT JOIN blob ON blob.id = result.recording ",
            $rest
        )
    };
}

macro_rules! finding {
    ($rest:literal) => {
        concat!(
            "SELECT finding.id, finding.result, finding.rule, finding.state, finding.severity, sentence, events, \
             finding.sum, rule.name, result.file, file.name, version.text, project.name \
             FROM finding JOIN rule ON rule.id = finding.rule JOIN result ON result.id = finding.result \
             JOIN file ON file.id = result.file JOIN version ON version.id = file.version \
             JOIN project ON project.id = result.project ",
            $rest
        )
    };
}

macro_rules! file {
    ($rest:literal) => {
        concat!(
            "SELECT file.id, project.name, version.text, version.sort_key, file.name, file.sha256, file.size, kind, uploaded, \
             file.state, blob.sha256, file.project, file.version \
             FROM file JOIN version ON version.id = file.version JOIN project ON project.id = file.project \
             LEFT JOIN blob ON blob.id = file.blob AND blob.gone = 0 ",
            $rest
        )
    };
}

statements! {
    // the queue
    JOB = job!("WHERE job.id = ?1");
    JOB_BY_KEY = job!("WHERE job.sha256 = ?1 AND job.spec = (SELECT id FROM spec WHERE sha256 = ?2) AND generation = ?3");
    JOB_NEWEST = job!("WHERE job.sha256 = ?1 AND job.spec = (SELECT id FROM spec WHERE sha256 = ?2) ORDER BY generation DESC LIMIT 1");
    JOB_BY_LEASE = job!("WHERE lease = ?1");
    JOBS_HELD = job!("WHERE worker.name = ?1 AND job.worker = worker.id AND state IN (0, 1, 2)");
    JOBS_NEXT = job!("WHERE state < 3 AND state = 1 AND need = ?1 AND alone = ?2 ORDER BY order_key, job.id LIMIT ?3");
    JOBS_BY_FILE = job!("WHERE job.sha256 = ?1 AND job.id > ?2 LIMIT ?3");
    JOBS_UNCAPTURED = job!("WHERE state < 3 AND state = 0 AND why = 0 LIMIT ?1");
    JOBS_DEAD = job!("WHERE state = 4 AND job.id < ?1 ORDER BY job.id DESC LIMIT ?2");
    JOBS_LATEST = job!("WHERE job.id < ?1 ORDER BY job.id DESC LIMIT ?2");
    JOB_PUT = "INSERT INTO job (id, sha256, spec, generation, project, need, priority, entered, order_key, state, why, alone, epoch, \
        lease, worker, mark, faults, lost) \
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, (SELECT id FROM worker WHERE name = ?15), ?16, ?17, ?18)";
    JOB_CHANGE = "UPDATE job SET state = ?2, why = ?3, alone = ?4, epoch = ?5, lease = ?6, \
        worker = (SELECT id FROM worker WHERE name = ?7), mark = ?8, faults = ?9, lost = ?10 WHERE id = ?1";
    JOB_LAST = "SELECT max(id) FROM job";
    JOBS_CAME = "SELECT count(*) FROM (SELECT 1 FROM job WHERE project = (SELECT id FROM project WHERE name = ?1) \
        AND entered >= ?2 LIMIT 256)";
    JOBS_ARMED = "SELECT id, state, why FROM job WHERE state < 3 AND state = ?1 AND need >= 0";
    NEED_PUT = "INSERT OR IGNORE INTO need (platform, interpreter, isolation, memory_mib) VALUES (?1, ?2, ?3, ?4)";
    NEED_ID = "SELECT id FROM need WHERE platform = ?1 AND interpreter = ?2 AND isolation = ?3 AND memory_mib = ?4";
    NEEDS = "SELECT id, platform, interpreter, isolation, memory_mib FROM need";
    QUEUE_LENGTH = "SELECT count(*), min(entered) FROM job WHERE state < 3 AND state = ?1 AND need = ?2";
    WORKER = "SELECT name, standing, quiet, offers, boot, request, ends, quarantines, probation, counted_boot \
        FROM worker WHERE name = ?1";
    WORKERS = "SELECT name, standing, quiet, offers, boot, request, ends, quarantines, probation, counted_boot \
        FROM worker ORDER BY name";
    WORKER_PUT = "INSERT INTO worker (name, standing, quiet, offers, boot, request, ends, quarantines, probation, counted_boot) \
        VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10) \
        ON CONFLICT (name) DO UPDATE SET standing = excluded.standing, quiet = excluded.quiet, offers = excluded.offers, \
        boot = excluded.boot, request = excluded.request, ends = excluded.ends, quarantines = excluded.quarantines, \
        probation = excluded.probation, counted_boot = excluded.counted_boot";
    CLAIM = "SELECT job, lease FROM claim WHERE worker = (SELECT id FROM worker WHERE name = ?1) AND boot = ?2 AND request = ?3 \
        ORDER BY n";
    CLAIM_PUT = "INSERT OR REPLACE INTO claim (worker, boot, request, n, job, lease) \
        VALUES ((SELECT id FROM worker WHERE name = ?1), ?2, ?3, ?4, ?5, ?6)";
    CLAIM_FORGET = "DELETE FROM claim WHERE worker = (SELECT id FROM worker WHERE name = ?1) AND (boot, request) < (?2, ?3)";
    BASE = "SELECT base FROM clock WHERE id = 1";
    BASE_PUT = "UPDATE clock SET base = ?1 WHERE id = 1";
    SPEC = "SELECT body FROM spec WHERE sha256 = ?1 AND body IS NOT NULL";
    SPEC_ID = "SELECT id FROM spec WHERE sha256 = ?1";
    SPEC_PUT = "INSERT INTO spec (sha256, body) VALUES (?1, ?2) \
        ON CONFLICT (sha256) DO UPDATE SET body = coalesce(spec.body, excluded.body)";

    // what is known of files
    PROJECT_PUT = "INSERT OR IGNORE INTO project (name) VALUES (?1)";
    PROJECT_ID = "SELECT id FROM project WHERE name = ?1";
    VERSION_PUT = "INSERT OR IGNORE INTO version (project, text, sort_key) VALUES (?1, ?2, ?3)";
    VERSION_ID = "SELECT id FROM version WHERE project = ?1 AND text = ?2";
    FILE_PUT = "INSERT OR IGNORE INTO file (version, project, name, sha256, size, kind, uploaded) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    FILE_ID = "SELECT id, project FROM file WHERE sha256 = ?1 AND name = ?2";
    FILE_STATE_PUT = "UPDATE file SET state = ?2 WHERE sha256 = ?1";
    FILE_BLOB_PUT = "UPDATE file SET blob = ?2 WHERE sha256 = ?1";
    FILE = file!("WHERE file.id = ?1");
    FILES_LATEST = file!("WHERE file.id < ?1 ORDER BY file.id DESC LIMIT ?2");
    FILES_EXPORT = file!("WHERE file.id > ?1 ORDER BY file.id LIMIT ?2");
    FILES_BY_SHA256 = file!("WHERE file.sha256 = ?1 ORDER BY file.id");
    FILES_BY_VERSION = file!("WHERE file.version = ?1 ORDER BY file.id");
    VERSIONS_FIRST = "SELECT id, text, sort_key FROM version WHERE project = ?1 ORDER BY sort_key DESC LIMIT ?2";
    VERSIONS_AFTER = "SELECT id, text, sort_key FROM version WHERE project = ?1 AND sort_key < ?2 ORDER BY sort_key DESC LIMIT ?3";
    SEARCH = "SELECT id, name FROM project WHERE name >= ?1 AND name < ?2 ORDER BY name LIMIT ?3";
    ENV_PUT = "INSERT OR IGNORE INTO env (platform, interpreter, isolation, options) VALUES (?1, ?2, ?3, ?4)";
    ENV_ID = "SELECT id FROM env WHERE platform = ?1 AND interpreter = ?2 AND isolation = ?3 AND options = ?4";
    REASON_PUT = "INSERT OR IGNORE INTO reason (code) VALUES (?1)";
    REASON_ID = "SELECT id FROM reason WHERE code = ?1";
    RULE_PUT = "INSERT OR IGNORE INTO rule (name) VALUES (?1)";
    RULE_ID = "SELECT id FROM rule WHERE name = ?1";
    RULES = "SELECT id, name FROM rule ORDER BY name";

    // results
    RESULT_PUT = "INSERT INTO result (job, file, env, project, finished, status, reason, verdict, blame, cost, passed, failed, \
        recording, more, sum) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, ?9, ?10, ?11, ?12, ?13, ?14, ?15)";
    RESULT_KNOWN = "SELECT 1 FROM result WHERE job = ?1";
    CURRENT_PUT = "INSERT INTO current (file, env, project, result) VALUES (?1, ?2, ?3, ?4) \
        ON CONFLICT (file, env) DO UPDATE SET result = excluded.result";
    FINDING_PUT = "INSERT INTO finding (result, rule, state, severity, sentence, events, sum) VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)";
    HOURLY_PUT = "INSERT INTO hourly (hour, status, reason, n) VALUES (?1, ?2, ?3, 1) \
        ON CONFLICT (hour, status, reason) DO UPDATE SET n = n + 1";
    DAILY_PUT = "INSERT INTO daily (day, status, reason, n) VALUES (?1, ?2, ?3, 1) \
        ON CONFLICT (day, status, reason) DO UPDATE SET n = n + 1";
    OUTBOX_PUT = "INSERT INTO outbox (kind, subject) VALUES (?1, ?2)";
    OUTBOX = "SELECT id, kind, subject FROM outbox WHERE id > ?1 ORDER BY id LIMIT ?2";
    OUTBOX_FORGET = "DELETE FROM outbox WHERE id <= ?1";
    RESULT = result!("WHERE result.id = ?1");
    RESULT_BY_JOB = result!("WHERE job = ?1");
    RESULTS_LATEST = result!("WHERE result.id < ?1 ORDER BY result.id DESC LIMIT ?2");
    RESULTS_EXPORT = result!("WHERE result.id > ?1 ORDER BY result.id LIMIT ?2");
    RESULTS_BY_PROJECT = result!("WHERE result.project = ?1 AND result.id < ?2 ORDER BY result.id DESC LIMIT ?3");
    RESULTS_BY_FILE = result!("WHERE result.file = ?1 AND result.env = ?2 AND result.id < ?3 ORDER BY result.id DESC LIMIT ?4");
    RESULTS_BY_REASON = result!("WHERE result.reason = ?1 AND result.id < ?2 ORDER BY result.id DESC LIMIT ?3");
    RESULTS_BY_VERDICT = result!("WHERE verdict = ?1 AND result.id < ?2 ORDER BY result.id DESC LIMIT ?3");
    RESULTS_CURRENT = result!("JOIN current ON current.result = result.id WHERE current.file = ?1 ORDER BY current.env");
    RESULTS_BY_WORKER = result!("JOIN job ON job.id = result.job \
        WHERE job.worker = (SELECT id FROM worker WHERE worker.name = ?1) AND job.state = 3 AND job.id > ?2 \
        ORDER BY job.id LIMIT ?3");
    COUNT_CURRENT = "SELECT count(*) FROM current WHERE project = ?1";
    FINDINGS_LATEST = finding!("WHERE finding.id < ?1 ORDER BY finding.id DESC LIMIT ?2");
    FINDINGS_BY_RESULT = finding!("WHERE finding.result = ?1 ORDER BY finding.id");
    FINDINGS_BY_RULE = finding!("WHERE finding.rule = ?1 AND finding.id < ?2 ORDER BY finding.id DESC LIMIT ?3");
    FINDINGS_BY_SEVERITY = finding!("WHERE finding.severity = ?1 AND finding.id < ?2 ORDER BY finding.id DESC LIMIT ?3");
    FINDING_COUNT = "SELECT count(*) FROM finding WHERE rule = ?1 AND state = ?2 AND severity = ?3";
    FINDING_COUNTS = "SELECT state, severity, count(*) FROM finding WHERE rule = ?1 GROUP BY state, severity";
    FINDINGS_EXPORT = finding!("WHERE finding.id > ?1 ORDER BY finding.id LIMIT ?2");
    HOURS = "SELECT status, code, sum(n) FROM hourly LEFT JOIN reason ON reason.id = hourly.reason \
        WHERE hour > ?1 AND hour <= ?2 GROUP BY status, hourly.reason";
    HOURS_APART = "SELECT hour, status, sum(n) FROM hourly WHERE hour > ?1 AND hour <= ?2 GROUP BY hour, status";
    DAYS = "SELECT status, code, sum(n) FROM daily LEFT JOIN reason ON reason.id = daily.reason \
        WHERE day > ?1 AND day <= ?2 GROUP BY status, daily.reason";

    // feeds
    CURSOR = "SELECT position FROM cursor WHERE feed = ?1";
    CURSOR_PUT = "INSERT INTO cursor (feed, position) VALUES (?1, ?2) ON CONFLICT (feed) DO UPDATE SET position = excluded.position";
    EVENT_PUT = "INSERT OR IGNORE INTO event (feed, serial, project, action, at) VALUES (?1, ?2, ?3, ?4, ?5)";
    EVENTS_OPEN = "SELECT id, feed, serial, project, action, at, tries FROM event WHERE state = 0 AND due <= ?1 \
        ORDER BY due, id LIMIT ?2";
    EVENTS_OPEN_COUNT = "SELECT count(*), min(at) FROM event WHERE state = 0";
    UPLOAD_PUT = "INSERT OR IGNORE INTO upload (file) SELECT id FROM file WHERE sha256 = ?1 AND blob IS NULL";
    UPLOADS_DUE = "SELECT file, tries FROM upload WHERE due <= ?1 ORDER BY due LIMIT ?2";
    UPLOADS_COUNT = "SELECT count(*) FROM upload";
    UPLOAD_DEFER = "UPDATE upload SET tries = tries + 1, due = ?2 WHERE file = ?1";
    UPLOAD_DROP = "DELETE FROM upload WHERE file = ?1";
    UPLOADS_DROP = "DELETE FROM upload WHERE file IN (SELECT id FROM file WHERE sha256 = ?1)";
    EVENT_STATE_PUT = "UPDATE event SET state = ?2 WHERE id = ?1";
    EVENT_DEFER = "UPDATE event SET tries = tries + 1, due = ?2 WHERE id = ?1";

    FILES_OF_PROJECT = file!("WHERE file.project = ?1 AND file.id > ?2 ORDER BY file.id LIMIT ?3");

    // blobs
    BLOB_PUT = "INSERT INTO blob (sha256, size, class, added) VALUES (?1, ?2, ?3, ?4) \
        ON CONFLICT (sha256) DO UPDATE SET gone = 0, added = excluded.added, class = min(class, excluded.class)";
    BLOB_ID = "SELECT id FROM blob WHERE sha256 = ?1";
    BLOB_KNOWN = "SELECT 1 FROM blob WHERE sha256 = ?1 AND gone = 0";
    BLOBS = "SELECT id, sha256, size, gone, class, added FROM blob WHERE id > ?1 ORDER BY id LIMIT ?2";
    BLOB_GONE = "UPDATE blob SET gone = 1 WHERE id = ?1 AND gone = 0 AND class = ?2 AND added < ?3";

    // what else is kept
    KEEP = "SELECT value FROM keep WHERE space = ?1 AND key = ?2 AND (until IS NULL OR until > ?3)";
    KEEP_PUT = "INSERT INTO keep (space, key, value, until) VALUES (?1, ?2, ?3, ?4) \
        ON CONFLICT (space, key) DO UPDATE SET value = excluded.value, until = excluded.until";
    KEEP_TAKE = "DELETE FROM keep WHERE space = ?1 AND key = ?2 AND (until IS NULL OR until > ?3) RETURNING value";
    KEEP_LIST = "SELECT key, value FROM keep WHERE space = ?1 AND key > ?2 AND (until IS NULL OR until > ?3) ORDER BY key LIMIT ?4";
    KEEP_FORGET = "DELETE FROM keep WHERE until <= ?1";
    AUDIT_PUT = "INSERT INTO audit (at, who, what, detail) VALUES (?1, ?2, ?3, ?4)";
    AUDIT = "SELECT id, at, who, what, detail FROM audit WHERE id < ?1 ORDER BY id DESC LIMIT ?2";
}

#[cfg(test)]
mod tests {
    use rusqlite::Connection;

    use super::ALL;

    /// Tables that have a row for each file, job, result or day.
    const BIG: &[&str] = &[
        "project", "version", "file", "result", "current", "finding", "blob", "job", "claim", "spec",
        "outbox", "event", "audit", "hourly", "daily", "keep",
    ];

    fn plan(conn: &Connection, sql: &str) -> Vec<String> {
        let mut statement = conn.prepare(&format!("EXPLAIN QUERY PLAN {sql}")).unwrap();
        for n in 1..=statement.parameter_count() {
            statement.raw_bind_parameter(n, 1).unwrap();
        }
        let mut rows = statement.raw_query();
        let mut plan = Vec::new();
        while let Some(row) = rows.next().unwrap() {
            plan.push(row.get(3).unwrap());
        }
        plan
    }

    fn scans(plan: &[String]) -> Vec<&String> {
        plan.iter()
            .filter(|line| {
                let mut words = line.split(' ');
                words.next() == Some("SCAN") && words.next().is_some_and(|table| BIG.contains(&table))
            })
            .collect()
    }

    fn database() -> Connection {
        let mut conn = Connection::open_in_memory().unwrap();
        crate::schema::migrate(&mut conn, crate::schema::NEWEST).unwrap();
        // as the store opens it: plans that hold whatever is bound
        conn.set_db_config(rusqlite::config::DbConfig::SQLITE_DBCONFIG_ENABLE_QPSG, true)
            .unwrap();
        conn
    }

    #[test]
    fn no_statement_walks_through_a_big_table() {
        let conn = database();
        let mut bad = Vec::new();
        for (name, sql) in ALL {
            let plan = plan(&conn, sql);
            let sorts = plan
                .iter()
                .any(|line| line.contains("USE TEMP B-TREE FOR ORDER BY"));
            if !scans(&plan).is_empty() || sorts {
                bad.push(format!("{name}: {plan:#?}"));
            }
        }
        assert!(bad.is_empty(), "{}", bad.join("\n"));
    }

    #[test]
    fn a_scan_would_be_found() {
        let conn = database();
        for sql in [
            "SELECT * FROM result WHERE cost = ?1",
            "SELECT count(*) FROM job",
            "SELECT id FROM result ORDER BY id DESC",
            "SELECT * FROM file WHERE name LIKE ?1",
        ] {
            assert!(!scans(&plan(&conn, sql)).is_empty(), "{sql}");
        }
        assert!(scans(&plan(&conn, "SELECT * FROM need")).is_empty());
    }

    #[test]
    fn statements_stand_here_only() {
        let folder = std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_string_lossy().into_owned();
            if matches!(name.as_str(), "sql.rs" | "schema.rs") {
                continue;
            }
            let text = std::fs::read_to_string(&path).unwrap();
            let code = text.split("#[cfg(test)]").next().unwrap();
            for word in ["\"SELECT ", "\"INSERT ", "\"UPDATE ", "\"DELETE "] {
                assert!(!code.contains(word), "{name} has a statement of its own");
            }
        }
    }
}
