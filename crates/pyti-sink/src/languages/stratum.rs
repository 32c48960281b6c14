//! Stratum: what miners of coins speak with their pool, a line of JSON for each call. Jobs are handed out that nobody can
//! solve.

use serde_json::{Value, json};

use super::line::Lines;
use super::{Scene, Talk};

/// Bytes in which the first line has to tell what it is.
const TELLING: usize = 2 << 10;

/// Whether the first bytes are a call: `None` when it cannot be told yet.
pub(super) fn recognise(said: &[u8]) -> Option<bool> {
    if said.trim_ascii_start().first().is_some_and(|byte| *byte != b'{') {
        return Some(false);
    }
    let has = |word: &[u8]| said.windows(word.len()).any(|window| window == word);
    if has(b"\"method\"") && (has(b"\"mining.") || has(b"\"login\"") || has(b"\"eth_submitLogin\"")) {
        return Some(true);
    }
    (said.contains(&b'\n') || said.len() > TELLING).then_some(false)
}

/// A pool in the middle of a conversation.
#[derive(Default)]
pub(crate) struct Stratum {
    lines: Lines,
}

impl Talk for Stratum {
    fn name(&self) -> &'static str {
        "stratum"
    }

    fn hear(&mut self, mut said: &[u8], scene: &mut Scene<'_>) {
        while let Some(line) = self.lines.next(&mut said) {
            if line.trim_ascii().is_empty() {
                continue;
            }
            let call: Value = serde_json::from_slice(&line).unwrap_or_default();
            let Some(method) = call["method"].as_str() else {
                scene.notes.exchange(b"?", &line, "");
                continue;
            };
            let parameters = call["params"].to_string();
            let (answers, short) = answer(method, &call["id"]);
            scene
                .notes
                .exchange(method.as_bytes(), parameters.as_bytes(), short);
            for answer in answers {
                scene.say(answer.to_string().as_bytes());
                scene.say(b"\n");
            }
        }
    }
}

fn answer(method: &str, id: &Value) -> (Vec<Value>, &'static str) {
    const ZEROS: &str = "0000000000000000000000000000000000000000000000000000000000000000";
    match method {
        "mining.subscribe" => (
            vec![
                json!({"id": id, "result": [[["mining.set_difficulty", "1"], ["mining.notify", "1"]], "08000002", 4], "error": null}),
            ],
            "subscribed",
        ),
        "mining.authorize" => (
            vec![
                json!({"id": id, "result": true, "error": null}),
                json!({"id": null, "method": "mining.set_difficulty", "params": [1_000_000_000_000u64]}),
                json!({"id": null, "method": "mining.notify", "params": ["1", ZEROS, "01000000", "ffffffff", [], "20000000", "170cf4e3", "66435b2f", true]}),
            ],
            "true",
        ),
        "login" => (
            vec![json!({"id": id, "jsonrpc": "2.0", "error": null, "result": {
                "id": "4f1c22e0", "status": "OK",
                "job": {"job_id": "1", "blob": ZEROS.repeat(2), "target": "00000000", "seed_hash": ZEROS, "height": 3_150_000, "algo": "rx/0"}}})],
            "OK",
        ),
        "mining.submit" | "submit" => (
            vec![json!({"id": id, "result": null, "error": [23, "Low difficulty share", null]})],
            "refused",
        ),
        "keepalived" => (
            vec![json!({"id": id, "jsonrpc": "2.0", "error": null, "result": {"status": "KEEPALIVED"}})],
            "OK",
        ),
        _ => (vec![json!({"id": id, "result": true, "error": null})], "true"),
    }
}
