//! Answers to questions for names: every name exists, and has an address of its own.

use std::time::Instant;

use hickory_proto::op::{Header, Message, MessageType, OpCode, Query, ResponseCode};
use hickory_proto::rr::rdata::{A, AAAA, MX, NS, PTR, SOA, SRV, TXT};
use hickory_proto::rr::{DNSClass, Name, RData, Record, RecordType};
use hickory_proto::serialize::binary::{BinDecodable as _, BinDecoder};

use crate::names::Names;
use crate::record::Ledger;

/// Seconds that an answer may be kept.
const TTL: u32 = 300;

/// Answers one message; `None` when it is no question.
pub(crate) fn answer(
    message: &[u8],
    names: &mut Names,
    ledger: &mut Ledger,
    at: Instant,
    process: Option<u32>,
) -> Option<Vec<u8>> {
    let mut decoder = BinDecoder::new(message);
    // what comes behind the first question is not looked at: it changes no answer of ours
    let header = Header::read(&mut decoder).ok()?;
    if header.metadata.message_type != MessageType::Query || header.counts.queries == 0 {
        return None;
    }
    let query = Query::read(&mut decoder).ok()?;
    let mut reply = Message::response(header.metadata.id, header.metadata.op_code);
    reply.metadata.recursion_desired = header.metadata.recursion_desired;
    reply.metadata.recursion_available = true;
    if header.metadata.op_code != OpCode::Query || query.query_class != DNSClass::IN {
        reply.metadata.response_code = ResponseCode::NotImp;
        reply.add_query(query);
        return reply.to_vec().ok();
    }
    let asked = bytes(&query.name);
    let (records, exists) = records(&query, &asked, names);
    if !exists {
        reply.metadata.response_code = ResponseCode::NXDomain;
    }
    let told = records.iter().map(tell).collect();
    ledger.resolve(at, process, &asked, &query.query_type.to_string(), told);
    for record in records {
        reply.add_answer(Record::from_rdata(query.name.clone(), TTL, record));
    }
    reply.add_query(query);
    reply.to_vec().ok()
}

/// The name without its last dot, its labels as they came.
fn bytes(name: &Name) -> Vec<u8> {
    name.iter().collect::<Vec<_>>().join(&b'.')
}

/// What is answered, and whether the name exists.
fn records(query: &Query, asked: &[u8], names: &mut Names) -> (Vec<RData>, bool) {
    let below = |label: &str| query.name.prepend_label(label.as_bytes()).ok();
    if !exists(asked) && !names.is_let_through(asked) {
        return (Vec::new(), false);
    }
    let found = match query.query_type {
        RecordType::A | RecordType::ANY => Some(RData::A(A(names.addresses(asked).0))),
        RecordType::AAAA => Some(RData::AAAA(AAAA(names.addresses(asked).1))),
        RecordType::TXT => Some(RData::TXT(TXT::new(vec!["v=spf1 -all".to_owned()]))),
        RecordType::MX => below("mail").map(|mail| RData::MX(MX::new(10, mail))),
        RecordType::NS => below("ns1").map(|server| RData::NS(NS(server))),
        RecordType::SRV => {
            // _service._proto.name: the service is at the name itself
            let host = query.name.iter().skip_while(|label| label.starts_with(b"_"));
            let host = Name::from_labels(host).ok();
            host.map(|host| RData::SRV(SRV::new(0, 5, port(asked), host)))
        }
        RecordType::SOA => below("ns1").zip(below("hostmaster")).map(|(server, person)| {
            RData::SOA(SOA::new(
                server,
                person,
                2_024_010_101,
                7200,
                3600,
                1_209_600,
                300,
            ))
        }),
        RecordType::PTR => {
            let address = query.name.parse_arpa_name().ok().map(|net| net.addr());
            let host = address.and_then(|address| names.host(address));
            let host = host.and_then(|host| Name::from_labels(host.as_bytes().split(|b| *b == b'.')).ok());
            return match host {
                Some(host) => (vec![RData::PTR(PTR(host))], true),
                None => (Vec::new(), false),
            };
        }
        _ => None,
    };
    (found.into_iter().collect(), true)
}

/// Whether there is such a name: all are there that a resolver of the internet could know. A single word means a neighbour, and
/// there is none; some ends never leave a network (RFC 6761, RFC 6762, RFC 7686).
fn exists(asked: &[u8]) -> bool {
    let lower = asked.to_ascii_lowercase();
    let last = lower.rsplit(|byte| *byte == b'.').next().unwrap_or_default();
    let alone = last.len() == lower.len() && !lower.is_empty();
    lower == b"metadata" || !(alone || matches!(last, b"local" | b"localhost" | b"onion"))
}

/// The usual port of a service that is asked for by name.
fn port(asked: &[u8]) -> u16 {
    let service = asked.split(|byte| *byte == b'.').next().unwrap_or_default();
    match service.to_ascii_lowercase().as_slice() {
        b"_ldap" => 389,
        b"_kerberos" => 88,
        b"_sip" => 5060,
        b"_xmpp-client" => 5222,
        b"_mongodb" => 27017,
        b"_submission" => 587,
        b"_http" => 80,
        _ => 443,
    }
}

fn tell(record: &RData) -> String {
    record.to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::settings::Caps;
    use pyti_model::trace::Deed;

    fn question(labels: &[&[u8]], kind: u16) -> Vec<u8> {
        let mut message = vec![0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
        for label in labels {
            message.push(u8::try_from(label.len()).unwrap());
            message.extend(*label);
        }
        message.push(0);
        message.extend(kind.to_be_bytes());
        message.extend([0, 1]);
        message
    }

    fn ask(message: &[u8]) -> (Option<Message>, Vec<Deed>) {
        let mut ledger = Ledger::new(Instant::now(), &Caps::default());
        let mut names = Names::new(100);
        let reply = answer(message, &mut names, &mut ledger, Instant::now(), Some(1));
        let reply = reply.map(|bytes| Message::from_vec(&bytes).unwrap());
        let deeds = ledger.finish(0).acts.into_iter().map(|act| act.deed);
        (reply, deeds.collect())
    }

    fn told(labels: &[&[u8]], kind: u16) -> (String, Vec<String>) {
        let (reply, deeds) = ask(&question(labels, kind));
        assert_eq!(reply.unwrap().metadata.id, 0xabcd);
        let [Deed::Resolve { name, record, answer }] = &deeds[..] else {
            panic!("{deeds:?}")
        };
        assert_eq!(name.as_bytes(), labels.join(&b'.'));
        (record.clone(), answer.clone())
    }

    #[test]
    fn every_record_type_is_answered() {
        let name: &[&[u8]] = &[b"a", b"example"];
        let cases: &[(u16, &str, &[&str])] = &[
            (1, "A", &["198.18.0.17"]),
            (28, "AAAA", &["2001:db8:5afe::10"]),
            (15, "MX", &["10 mail.a.example."]),
            (16, "TXT", &["v=spf1 -all"]),
            (2, "NS", &["ns1.a.example."]),
            (65, "HTTPS", &[]),
            (12, "PTR", &[]),
        ];
        for (kind, record, answer) in cases {
            let (r, a) = told(name, *kind);
            assert_eq!((r.as_str(), a.len()), (*record, answer.len()), "{a:?}");
            assert!(a.iter().zip(*answer).all(|(a, b)| a == b), "{a:?}");
        }
        let (_, answer) = told(&[b"_ldap", b"_tcp", b"a", b"example"], 33);
        assert_eq!(answer, ["0 5 389 a.example."]);
    }

    #[test]
    fn who_is_let_through_exists_whatever_he_is_called() {
        let mut names = Names::new(10).with(vec![b"service.localhost".to_vec()]);
        let query = |name: &str| {
            let mut query = Query::new();
            query.set_name(Name::from_ascii(name).unwrap());
            query.set_query_type(RecordType::A);
            query
        };
        assert_eq!(
            records(&query("Service.localhost"), b"Service.localhost", &mut names)
                .0
                .len(),
            1
        );
        assert!(!records(&query("other.localhost"), b"other.localhost", &mut names).1);
    }

    #[test]
    fn neighbours_do_not_exist() {
        for labels in [
            &[&b"db"[..]][..],
            &[b"printer", b"local"],
            &[b"abc", b"onion"],
            &[b"a", b"LOCALHOST"],
        ] {
            assert!(told(labels, 1).1.is_empty(), "{labels:?}");
        }
        for labels in [
            &[&b"metadata"[..]][..],
            &[b"local", b"example"],
            &[b"a", b"invalid"],
            &[b"kubernetes", b"default", b"svc"],
        ] {
            assert_eq!(told(labels, 1).1.len(), 1, "{labels:?}");
        }
    }

    #[test]
    fn names_that_are_no_text_and_long_ones_are_answered() {
        told(&[b"\xff\x00 .", b"example"], 1);
        assert_eq!(told(&[], 2).1.len(), 1, "the root");
        told(&[&[b'a'; 63], &[b'b'; 63], &[b'c'; 63], &[b'd'; 61]], 1);
        told(&[&[b'a'; 63], &[b'b'; 63], &[b'c'; 63], &[b'd'; 61]], 15);
    }

    #[test]
    fn what_is_no_question_is_not_answered() {
        let whole = question(&[b"a", b"example"], 1);
        for cut in 0..whole.len() {
            assert!(ask(&whole[..cut]).0.is_none(), "{cut}");
        }
        let mut answer = whole.clone();
        answer[2] |= 0x80;
        assert!(ask(&answer).0.is_none());
        let mut bomb = vec![0xab, 0xcd, 1, 0, 0xff, 0xff, 0, 0, 0, 0, 0, 0];
        for _ in 0..2000 {
            bomb.extend([0xc0, 12]);
        }
        assert!(ask(&bomb).0.is_none());
        assert!(ask(&whole).0.is_some());
    }

    proptest::proptest! {
        #![proptest_config(proptest::prelude::ProptestConfig::with_cases(2000))]

        #[test]
        fn anything_may_come(bytes in proptest::collection::vec(proptest::num::u8::ANY, 0..600)) {
            let _ = ask(&bytes);
            let mut message = vec![0xab, 0xcd, 1, 0, 0, 1, 0, 0, 0, 0, 0, 0];
            message.extend(bytes);
            let _ = ask(&message);
        }
    }
}
