//! Documents of a person: what is looked through for passwords, and what is destroyed for ransom.

use crate::chance::{Chance, HEX};
use crate::date::Date;
use crate::home::Home;
use crate::token;

pub(crate) fn furnish(home: &mut Home<'_>) {
    passwords(home);
    notes(home);
    tables(home);
    letters(home);
    papers(home);
}

fn day(chance: &mut Chance, now: i64) -> String {
    Date::of(now - chance.between(86_400, 86_400 * 500)).day()
}

/// An export of a browser's passwords that somebody forgot to delete.
fn passwords(home: &mut Home<'_>) {
    let mut chance = home.chance("passwords");
    let sites = [
        "bank",
        "mail",
        "shop",
        "forum",
        "insurance",
        "travel",
        "phone",
        "rent",
        "library",
        "games",
    ];
    let mut secrets = Vec::new();
    let mut lines = vec!["name,url,username,password,note".to_owned()];
    for site in sites.iter().take(4 + chance.below(6)) {
        let password = token::password(&mut chance);
        let host = format!("{site}-{}.example", token::slug(&mut chance, 4));
        lines.push(format!(
            "{host},https://{host}/login,{},{password},",
            home.persona.email()
        ));
        secrets.push(password);
    }
    let name = chance.pick(&[
        "Chrome Passwords.csv",
        "passwords.csv",
        "export-passwords.csv",
        "logins.csv",
    ]);
    let secrets: Vec<&str> = secrets.iter().take(4).map(String::as_str).collect();
    home.decoy(
        "documents.passwords",
        &format!("Documents/{name}"),
        lines.join("\n") + "\n",
        &secrets,
    );
}

fn notes(home: &mut Home<'_>) {
    let mut chance = home.chance("notes");
    let (wifi, recovery) = (
        token::password(&mut chance),
        (0..8)
            .map(|_| format!("{}-{}", chance.text(HEX, 5), chance.text(HEX, 5)))
            .collect::<Vec<_>>(),
    );
    let text = format!(
        "# Things to remember\n\n- wifi at the office: {wifi}\n- car: inspection due {}\n- dentist {}\n\n\
         ## recovery codes\n\n{}\n",
        day(&mut chance, home.now - 86_400 * 30),
        day(&mut chance, home.now),
        recovery.join("\n")
    );
    let mut secrets = vec![wifi.as_str()];
    // eleven characters are too few to be told from chance; two lines are not
    let two = recovery[..2].join("\n");
    secrets.push(&two);
    home.decoy("documents.notes", "Documents/notes.md", text, &secrets);

    let mut chance = home.chance("meetings");
    for number in 0..2 + chance.below(3) {
        let topics = [
            "release plan",
            "incident review",
            "hiring",
            "budget",
            "migration",
            "roadmap",
            "on-call",
        ];
        let lines: Vec<String> = (0..4 + chance.below(12))
            .map(|_| {
                format!(
                    "- {} {}",
                    chance.pick(&["decide on", "follow up on", "postpone", "write down", "ask about"]),
                    chance.pick(&topics)
                )
            })
            .collect();
        let (topic, date) = (chance.pick(&topics), day(&mut chance, home.now));
        home.file(
            &format!("Documents/meetings/{number}-{}.md", topic.replace(' ', "-")),
            format!("# {topic}, {date}\n\n{}\n", lines.join("\n")),
        );
    }
}

fn tables(home: &mut Home<'_>) {
    let mut chance = home.chance("tables");
    let mut rows = vec!["date,payee,category,amount".to_owned()];
    for _ in 0..30 + chance.below(80) {
        rows.push(format!(
            "{},{},{},-{}.{:02}",
            day(&mut chance, home.now),
            chance.pick(&[
                "grocer", "rent", "railway", "pharmacy", "bookshop", "power", "water", "phone"
            ]),
            chance.pick(&["food", "home", "travel", "health", "fun"]),
            chance.between(2, 900),
            chance.below(100)
        ));
    }
    home.file("Documents/budget.csv", rows.join("\n") + "\n");
    let mut rows = vec!["id,name,email,phone".to_owned()];
    for number in 0..15 + chance.below(60) {
        let name = token::slug(&mut chance, 8);
        rows.push(format!(
            "{number},{name},{name}@customers.example,+49 30 {:07}",
            chance.below(10_000_000)
        ));
    }
    home.file("Documents/customers.csv", rows.join("\n") + "\n");
    let weights: Vec<String> = (0..20 + chance.below(40))
        .map(|_| {
            format!(
                "{}\t{}.{}",
                day(&mut chance, home.now),
                chance.between(55, 95),
                chance.below(10)
            )
        })
        .collect();
    home.file("Documents/running.tsv", weights.join("\n") + "\n");
}

fn letters(home: &mut Home<'_>) {
    let mut chance = home.chance("letters");
    let name = home.persona.full_name.clone();
    let date = day(&mut chance, home.now);
    let sentences = [
        "thank you for your letter.",
        "please find the papers attached.",
        "I would like to end the contract at the next possible date.",
        "the heating has been broken since Monday.",
        "we talked about this on the phone.",
        "could you send me a confirmation?",
    ];
    for subject in ["landlord", "insurance", "tax-office", "application"] {
        let body: Vec<&str> = (0..2 + chance.below(5))
            .map(|_| chance.pick(&sentences))
            .collect();
        home.file(
            &format!("Documents/letters/{subject}.txt"),
            format!(
                "{date}\n\nDear Sir or Madam,\n\n{}\n\nKind regards\n{name}\n",
                body.join(" ")
            ),
        );
    }
    let todo: Vec<&str> = (0..3 + chance.below(5))
        .map(|_| {
            chance.pick(&[
                "buy milk",
                "call mum",
                "renew passport",
                "back up photos",
                "pay rent",
                "fix bike",
            ])
        })
        .collect();
    home.file("Desktop/todo.txt", todo.join("\n") + "\n");
}

/// Small PDF files that open.
fn papers(home: &mut Home<'_>) {
    let mut chance = home.chance("papers");
    for name in ["invoice", "contract", "cv"] {
        let mut lines = vec![
            format!("{name} {}", chance.between(1000, 99_999)),
            home.persona.full_name.clone(),
        ];
        for _ in 0..3 + chance.below(10) {
            lines.push(format!(
                "{}  {}",
                day(&mut chance, home.now),
                token::slug(&mut chance, 18)
            ));
        }
        let year = Date::of(home.now).year - i64::from(chance.once_in(2));
        home.file(&format!("Documents/{name}-{year}.pdf"), pdf(&lines));
    }
}

/// A page of lines, in PDF 1.4.
fn pdf(lines: &[String]) -> Vec<u8> {
    let mut page = String::from("BT /F1 11 Tf 60 780 Td 14 TL\n");
    for line in lines {
        page.push_str(&format!("({line}) Tj T*\n"));
    }
    page.push_str("ET\n");
    let objects = [
        "<< /Type /Catalog /Pages 2 0 R >>".to_owned(),
        "<< /Type /Pages /Kids [3 0 R] /Count 1 >>".to_owned(),
        "<< /Type /Page /Parent 2 0 R /MediaBox [0 0 595 842] /Contents 4 0 R \
         /Resources << /Font << /F1 5 0 R >> >> >>"
            .to_owned(),
        format!("<< /Length {} >>\nstream\n{page}endstream", page.len()),
        "<< /Type /Font /Subtype /Type1 /BaseFont /Helvetica >>".to_owned(),
    ];
    let mut out = String::from("%PDF-1.4\n");
    let mut table = format!("xref\n0 {}\n0000000000 65535 f \n", objects.len() + 1);
    for (number, object) in (1..).zip(&objects) {
        table.push_str(&format!("{:010} 00000 n \n", out.len()));
        out.push_str(&format!("{number} 0 obj\n{object}\nendobj\n"));
    }
    let start = out.len();
    out.push_str(&table);
    out.push_str(&format!(
        "trailer\n<< /Size {} /Root 1 0 R >>\nstartxref\n{start}\n%%EOF\n",
        objects.len() + 1
    ));
    out.into_bytes()
}
