//! Recordings as plain values: what processes of one job did, said in few words.

use pyti_model::Foreign;
use pyti_model::effect::{
    Captured, Change, Changed, Cost, Effect, Entry, Exit, Limit, Limits, Loss, Survivor,
};
use pyti_model::event::{Envelope, Event};
use pyti_model::finding::Judgement;
use pyti_model::outcome::{TaskResult, Verdict};
use pyti_model::plan::Plan;
use pyti_model::raw::{Build, Install, RawData, Start, WheelComparison};
use pyti_model::trace::{
    Access, Act, Conversation, Decoy, DecoyPlace, DecoyUse, Deed, Endpoint, Exchange, Form, Origin, Process,
    Result, Tls, Trace, Transport, Written,
};
use serde_json::json;

use super::super::{RuleSet, judge_safety};
use crate::record::{JobRecord, fold};

/// Number of the conversation's address; each name has its own.
pub(super) const SINK: &str = "198.18.0.7";

pub(super) fn plan() -> Plan {
    let file = json!({
        "project": "sample", "version": "1.0", "filename": "sample-1.0-py3-none-any.whl", "kind": "wheel",
        "sha256": "a".repeat(64), "size": 1000,
    });
    serde_json::from_value(json!({
        "version": 1, "target": file, "isolation": "sandbox", "run_tests": true, "limits": Limits::default(),
        "hash_seed": 0, "watch": "on",
        "interpreter": {
            "implementation": "cpython", "version": "3.13.0", "free_threaded": false,
            "executable": "/opt/python/bin/python3.13", "prefix": "/opt/python", "platform": "linux_x86_64",
            "has_headers": true,
        },
    }))
    .unwrap()
}

fn decoy(id: &str, family: &str, place: DecoyPlace, commonly_read: bool) -> Decoy {
    Decoy {
        id: id.into(),
        family: family.into(),
        place,
        secrets: vec!["AKIA0000000000000000".into()],
        commonly_read,
    }
}

pub(super) fn decoys() -> Vec<Decoy> {
    let file = |id: &str, family: &str, path: &str, common: bool| {
        decoy(id, family, DecoyPlace::File(format!("/home/dev/{path}")), common)
    };
    let variable = |name: &str, family: &str| {
        decoy(
            &format!("env.{name}"),
            family,
            DecoyPlace::Variable(name.into()),
            false,
        )
    };
    vec![
        file("aws.credentials", "aws", ".aws/credentials", false),
        file("ssh.id_rsa", "ssh", ".ssh/id_rsa", false),
        file("pypi.pypirc", "pypi", ".pypirc", false),
        file("npm.npmrc", "npm", ".npmrc", false),
        file("gh.hosts", "github", ".config/gh/hosts.yml", false),
        file("kube.config", "kube", ".kube/config", false),
        file("docker.config", "docker", ".docker/config.json", false),
        file("netrc", "netrc", ".netrc", true),
        file("gitconfig", "git", ".gitconfig", true),
        file(
            "browser.logins",
            "browser",
            ".config/google-chrome/Default/Login Data",
            false,
        ),
        file(
            "wallet.electrum",
            "wallet",
            ".electrum/wallets/default_wallet",
            false,
        ),
        variable("AWS_SECRET_ACCESS_KEY", "aws"),
        variable("GITHUB_TOKEN", "github"),
        decoy(
            "machine.host",
            "machine",
            DecoyPlace::Variable("HOSTNAME".into()),
            false,
        ),
    ]
}

/// One task and what it did.
#[derive(Debug, Clone)]
struct Task {
    name: String,
    trace: Trace,
    effect: Effect,
    changes: Vec<Change>,
    files: Vec<Written>,
    raw: Option<RawData>,
}

/// A recording under construction. What is said is said of the process that was named last, in the task that was named
/// last.
#[derive(Debug, Clone)]
pub(super) struct World {
    pub(super) plan: Plan,
    tasks: Vec<Task>,
    current: u32,
    clock: u64,
    pub(super) losses: Vec<Loss>,
    pub(super) complete: bool,
    pub(super) traced: bool,
    pub(super) decoys: Vec<Decoy>,
    pub(super) when: String,
}

impl World {
    /// A job whose one task is this, so far.
    pub(super) fn of(task: &str) -> Self {
        Self {
            plan: plan(),
            tasks: Vec::new(),
            current: 0,
            clock: 0,
            losses: Vec::new(),
            complete: true,
            traced: true,
            decoys: decoys(),
            when: "2026-11-25T08:00:00Z".into(),
        }
        .task(task)
    }

    /// Another task follows.
    pub(super) fn task(mut self, name: &str) -> Self {
        let process = Process {
            number: 0,
            parent: None,
            pid: 2,
            began_us: 0,
            ended: None,
            executable: "/home/dev/venv/bin/python".into(),
            argv: vec!["python".into()],
        };
        self.tasks.push(Task {
            name: name.into(),
            trace: Trace {
                form: Form::Full,
                processes: vec![process],
                ..Trace::default()
            },
            effect: Effect {
                argv: vec!["python".into(), "-m".into(), "probe".into()],
                exit: Exit::Code(0),
                limit: None,
                cost: Cost {
                    wall_s: 1.0,
                    user_s: 1.0,
                    ..Cost::default()
                },
                stdout: Captured::default(),
                stderr: Captured::default(),
                survivors: Vec::new(),
                denials: Vec::new(),
                contacts: Vec::new(),
                losses: Vec::new(),
            },
            changes: Vec::new(),
            files: Vec::new(),
            raw: None,
        });
        self.current = 0;
        self
    }

    fn last(&mut self) -> &mut Task {
        self.tasks.last_mut().unwrap()
    }

    /// The trace of the task named last.
    pub(super) fn trace(&mut self) -> &mut Trace {
        &mut self.last().trace
    }

    /// A child of the process named last begins; it is named now.
    pub(super) fn spawn(mut self) -> Self {
        let parent = self.current;
        let trace = self.trace();
        let number = u32::try_from(trace.processes.len()).unwrap();
        trace.processes.push(Process {
            number,
            parent: Some(parent),
            pid: 2 + i32::try_from(number).unwrap(),
            began_us: 0,
            ended: None,
            executable: Foreign::default(),
            argv: Vec::new(),
        });
        self.current = number;
        self
    }

    /// A process is named.
    pub(super) fn process(mut self, number: u32) -> Self {
        self.current = number;
        self
    }

    pub(super) fn acts(&mut self) -> u32 {
        u32::try_from(self.trace().acts.len()).unwrap()
    }

    pub(super) fn does(self, deed: Deed) -> Self {
        self.tries(deed, Result::Attempted)
    }

    pub(super) fn tries(mut self, deed: Deed, result: Result) -> Self {
        self.clock += 10;
        let act = Act {
            at_us: self.clock,
            process: Some(self.current),
            result,
            times: 1,
            deed,
        };
        self.trace().acts.push(act);
        self
    }

    pub(super) fn read(self, path: &str) -> Self {
        self.does(Deed::Open {
            path: path.into(),
            access: Access {
                read: true,
                ..Access::default()
            },
        })
    }

    pub(super) fn write(self, path: &str) -> Self {
        self.does(Deed::Open {
            path: path.into(),
            access: Access {
                write: true,
                create: true,
                ..Access::default()
            },
        })
    }

    pub(super) fn look(self, path: &str) -> Self {
        self.does(Deed::Look { path: path.into() })
    }

    pub(super) fn list(self, path: &str) -> Self {
        self.does(Deed::List { path: path.into() })
    }

    pub(super) fn remove(self, path: &str) -> Self {
        self.does(Deed::Remove {
            path: path.into(),
            folder: false,
        })
    }

    pub(super) fn rename(self, from: &str, to: &str) -> Self {
        self.does(Deed::Rename {
            from: from.into(),
            to: to.into(),
        })
    }

    pub(super) fn executes(self, path: &str, argv: &str, origin: Origin, sockets: &[u8]) -> Self {
        let deed = Deed::Execute {
            path: path.into(),
            argv: argv.split(' ').map(Foreign::from).collect(),
            argv_dropped: 0,
            cwd: "/home/dev".into(),
            variables: Vec::new(),
            origin,
            sockets: sockets.to_vec(),
        };
        self.tries(deed, Result::Done)
    }

    /// A program of the machine.
    pub(super) fn runs(self, command: &str) -> Self {
        let name = command.split(' ').next().unwrap_or_default();
        let path = if name.starts_with('/') {
            name.to_owned()
        } else {
            format!("/usr/bin/{name}")
        };
        self.executes(&path, command, Origin::System, &[])
    }

    pub(super) fn connects(self, address: &str, port: u16) -> Self {
        let to = Endpoint::Ip {
            address: address.parse().unwrap(),
            port,
        };
        self.does(Deed::Connect {
            to,
            transport: Transport::Tcp,
        })
    }

    pub(super) fn unix(self, path: &str) -> Self {
        self.does(Deed::Connect {
            to: Endpoint::Unix(path.into()),
            transport: Transport::Unix,
        })
    }

    pub(super) fn binds(self, address: &str, port: u16) -> Self {
        let to = Endpoint::Ip {
            address: address.parse().unwrap(),
            port,
        };
        self.does(Deed::Bind { to })
    }

    pub(super) fn listens(self, address: &str, port: u16) -> Self {
        let at = Some(Endpoint::Ip {
            address: address.parse().unwrap(),
            port,
        });
        self.does(Deed::Listen { at })
    }

    pub(super) fn resolves(self, name: &str) -> Self {
        self.does(Deed::Resolve {
            name: name.into(),
            record: "A".into(),
            answer: vec![SINK.into()],
        })
    }

    /// A question over HTTPS.
    pub(super) fn asks(self, verb: &str, host: &str, target: &str, body: &str) -> Self {
        self.talks("http", SINK, 443, host, verb, target, body)
    }

    #[expect(clippy::too_many_arguments, reason = "a conversation has that many")]
    pub(super) fn talks(
        self,
        language: &str,
        address: &str,
        port: u16,
        host: &str,
        verb: &str,
        target: &str,
        body: &str,
    ) -> Self {
        let sent = |text: &str| Captured {
            head: text.into(),
            tail: Foreign::default(),
            total: text.len() as u64,
        };
        self.does(Deed::Converse(Box::new(Conversation {
            transport: Transport::Tcp,
            address: address.parse().unwrap(),
            port,
            host: (!host.is_empty()).then(|| host.into()),
            language: language.into(),
            tls: (port == 443).then(|| Tls {
                server_name: Some(host.into()),
                accepted: true,
                ..Tls::default()
            }),
            exchanges: vec![Exchange {
                verb: verb.into(),
                target: target.into(),
                host: (!host.is_empty()).then(|| host.into()),
                headers: Vec::new(),
                body: sent(body),
                answer: "200".into(),
            }],
            sent: sent(&format!("{verb} {target}\r\n\r\n{body}")),
            answered: 20,
            lasted_us: 1000,
        })))
    }

    /// The last act held a decoy's secret.
    pub(super) fn with_secret(mut self, decoy: &str) -> Self {
        let act = self.acts() - 1;
        self.does(Deed::Decoy {
            decoy: decoy.into(),
            used: DecoyUse::Sent {
                encoding: "base64".into(),
                act,
            },
        })
    }

    pub(super) fn uses(self, decoy: &str, used: DecoyUse) -> Self {
        self.does(Deed::Decoy {
            decoy: decoy.into(),
            used,
        })
    }

    pub(super) fn changes(mut self, path: &str, what: Changed, size: u64) -> Self {
        self.last().changes.push(Change {
            path: path.into(),
            what,
            entry: (what != Changed::Deleted).then_some(Entry::File),
            size: Some(size),
            mode: Some(0o644),
        });
        self
    }

    pub(super) fn holds(mut self, path: &str, text: &str) -> Self {
        self.last().files.push(Written {
            path: path.into(),
            sha256: "b".repeat(64).parse().unwrap(),
            size: text.len() as u64,
            preview: text.into(),
            program: text.starts_with("#!") || text.starts_with("\u{7f}ELF"),
        });
        self
    }

    pub(super) fn raw(mut self, raw: RawData) -> Self {
        self.last().raw = Some(raw);
        self
    }

    pub(super) fn installs(self, install: Install) -> Self {
        self.raw(RawData::Install(install))
    }

    pub(super) fn starts(self, start: Start) -> Self {
        self.raw(RawData::Start(start))
    }

    pub(super) fn published(self, comparison: WheelComparison) -> Self {
        self.raw(RawData::Build(Build {
            backend: "setuptools".into(),
            wheel: None,
            error: None,
            compiler_calls: Vec::new(),
            published: Some(comparison),
        }))
    }

    pub(super) fn survives(mut self, argv: &str) -> Self {
        self.last().effect.survivors.push(Survivor {
            pid: 9,
            argv: argv.split(' ').map(Foreign::from).collect(),
            ended_by_itself: false,
        });
        self
    }

    pub(super) fn limit(mut self, limit: Limit) -> Self {
        self.last().effect.limit = Some(limit);
        self
    }

    pub(super) fn costs(mut self, wall_s: f64, user_s: f64) -> Self {
        self.last().effect.cost.wall_s = wall_s;
        self.last().effect.cost.user_s = user_s;
        self
    }

    pub(super) fn events(&self) -> Vec<Envelope> {
        let mut events = vec![Event::Began {
            recording: (1, 2),
            pyti: "test".into(),
            when: self.when.clone(),
            plan: Box::new(self.plan.clone()),
            machine: std::collections::BTreeMap::new(),
        }];
        events.push(Event::Planned {
            tasks: self
                .tasks
                .iter()
                .map(|task| pyti_model::event::PlannedTask {
                    name: task.name.clone(),
                    needs: Vec::new(),
                    preparation: false,
                })
                .collect(),
        });
        events.push(Event::Planted {
            decoys: self.decoys.clone(),
        });
        for task in &self.tasks {
            let name = task.name.clone();
            events.push(Event::Started {
                task: name.clone(),
                attempt: 1,
            });
            events.push(Event::Ran {
                task: name.clone(),
                effect: Box::new(task.effect.clone()),
            });
            if self.traced {
                events.push(Event::Traced {
                    task: name.clone(),
                    trace: Box::new(task.trace.clone()),
                });
            }
            events.push(Event::Changed {
                task: name.clone(),
                changes: task.changes.clone(),
            });
            events.push(Event::Written {
                task: name.clone(),
                files: task.files.clone(),
            });
            events.push(Event::Ended {
                task: name,
                result: TaskResult::Success,
                reasons: Vec::new(),
                chain: Vec::new(),
                raw: task.raw.clone(),
                wall_s: 1.0,
                cpu_s: 1.0,
                peak_memory_bytes: 1,
            });
        }
        events.extend(self.losses.iter().map(|what| Event::Lost {
            task: None,
            what: what.clone(),
        }));
        if self.complete {
            events.push(Event::Finished { interrupted: false });
        }
        (0..)
            .zip(events)
            .map(|(seq, event)| Envelope {
                seq,
                at_us: seq * 1000,
                event,
            })
            .collect()
    }

    pub(super) fn record(&self) -> JobRecord {
        fold(self.events())
    }

    pub(super) fn judge(&self) -> Judgement {
        judge_safety(&self.record(), RuleSet::built_in(), &[], None)
    }

    /// Verdict, and rules that found something above info, sorted.
    pub(super) fn comes_to(&self) -> (Verdict, Vec<String>) {
        let judgement = self.judge();
        let mut rules: Vec<String> = judgement
            .findings
            .iter()
            .filter(|finding| finding.severity > pyti_model::finding::Severity::Info)
            .map(|finding| finding.rule.clone())
            .collect();
        rules.sort();
        rules.dedup();
        (judgement.verdict, rules)
    }
}

/// A program that was looked for along PATH and is not there.
pub(super) fn fails(world: World, command: &str) -> World {
    let name = command.split(' ').next().unwrap_or_default();
    world.tries(
        Deed::Execute {
            path: format!("/usr/bin/{name}").into(),
            argv: command.split(' ').map(Into::into).collect(),
            argv_dropped: 0,
            cwd: "/home/dev".into(),
            variables: Vec::new(),
            origin: Origin::Unknown,
            sockets: Vec::new(),
        },
        Result::Failed("ENOENT".into()),
    )
}
