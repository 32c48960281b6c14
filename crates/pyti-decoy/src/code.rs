//! What a developer keeps for code: hosts of repositories, package indexes, projects with their `.env`.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::chance::Chance;
use crate::home::Home;
use crate::token;

pub(crate) fn furnish(home: &mut Home<'_>) {
    indexes(home);
    repositories(home);
    netrc(home);
    projects(home);
    variables(home);
}

fn indexes(home: &mut Home<'_>) {
    let index = home.index_host.to_owned();
    let mut chance = home.chance("pypirc");
    let token = token::index_upload(&mut chance, &index);
    let private = token::password(&mut chance);
    let (domain, user) = (home.persona.domain.clone(), home.user.to_owned());
    let main = format!("[pypi]\nusername = __token__\npassword = {token}\n");
    let other = format!(
        "[{}]\nrepository = https://pypi.{domain}/legacy/\nusername = {user}\npassword = {private}\n",
        home.persona.company
    );
    let names = format!(
        "[distutils]\nindex-servers =\n    pypi\n    {}\n",
        home.persona.company
    );
    let text = match chance.below(3) {
        0 => main,
        1 => format!("{names}\n{main}\n{other}"),
        _ => format!("{names}\n{other}\n{main}"),
    };
    let secrets = if text.contains(&private) {
        vec![token.as_str(), private.as_str()]
    } else {
        vec![token.as_str()]
    };
    home.decoy("pypi.pypirc", ".pypirc", text, &secrets);

    let mut chance = home.chance("npmrc");
    let token = token::npm(&mut chance);
    let mut lines = vec![
        format!("//npm.{domain}/:_authToken={token}"),
        format!("@{}:registry=https://npm.{domain}/", home.persona.company),
        "fund=false".into(),
        "save-exact=true".into(),
        format!("email={}", home.persona.email()),
    ];
    lines.truncate(2 + chance.below(4));
    chance.shuffle(&mut lines);
    home.decoy("npm.npmrc", ".npmrc", lines.join("\n") + "\n", &[&token]);

    let mut chance = home.chance("cargo");
    let token = token::cargo(&mut chance);
    let text = match chance.below(2) {
        0 => format!("[registry]\ntoken = \"{token}\"\n"),
        _ => format!(
            "[registries.{}]\ntoken = \"Bearer {token}\"\n",
            home.persona.company
        ),
    };
    home.decoy("cargo.credentials", ".cargo/credentials.toml", text, &[&token]);
}

fn repositories(home: &mut Home<'_>) {
    let mut chance = home.chance("gh");
    let token = token::github_cli(&mut chance);
    let user = format!("{}{}", home.user.replace(['.', '_'], "-"), chance.below(100));
    let protocol = chance.pick(&["https", "ssh"]);
    let text = if chance.once_in(2) {
        format!("github.com:\n    user: {user}\n    oauth_token: {token}\n    git_protocol: {protocol}\n")
    } else {
        format!(
            "github.com:\n    git_protocol: {protocol}\n    users:\n        {user}:\n            oauth_token: {token}\n    \
             user: {user}\n    oauth_token: {token}\n"
        )
    };
    home.decoy("github.hosts", ".config/gh/hosts.yml", text, &[&token]);
    home.file(
        ".config/gh/config.yml",
        "version: \"1\"\ngit_protocol: https\nprompt: enabled\n",
    );

    let domain = home.persona.domain.clone();
    let mut chance = home.chance("git-credentials");
    let (fine, lab) = (token::github_fine(&mut chance), token::gitlab(&mut chance));
    let mut lines = vec![
        format!("https://{user}:{fine}@github.com"),
        format!("https://oauth2:{lab}@git.{domain}"),
    ];
    chance.shuffle(&mut lines);
    home.decoy(
        "git.credentials",
        ".git-credentials",
        lines.join("\n") + "\n",
        &[&fine, &lab],
    );

    let mut chance = home.chance("gitconfig");
    let lab = token::gitlab(&mut chance);
    let editor = chance.pick(&["vim", "nano", "code --wait", "nvim", "emacs -nw"]);
    let mut parts = vec![
        format!(
            "[user]\n\tname = {}\n\temail = {}\n",
            home.persona.full_name,
            home.persona.email()
        ),
        format!("[core]\n\teditor = {editor}\n"),
        format!("[url \"https://oauth2:{lab}@git.{domain}/\"]\n\tinsteadOf = https://git.{domain}/\n"),
        "[init]\n\tdefaultBranch = main\n".into(),
        "[pull]\n\trebase = true\n".into(),
        "[alias]\n\tst = status -sb\n\tlg = log --oneline --graph\n".into(),
        "[credential]\n\thelper = store\n".into(),
    ];
    parts.truncate(3 + chance.below(5));
    let last = parts.len();
    chance.shuffle(&mut parts[1..last]);
    home.decoy("git.config", ".gitconfig", parts.concat(), &[&lab])
        .commonly_read = true;
}

fn netrc(home: &mut Home<'_>) {
    let mut chance = home.chance("netrc");
    let domain = home.persona.domain.clone();
    let mut secrets = Vec::new();
    let mut hosts = ["artifacts", "git", "api", "nexus", "jira"];
    chance.shuffle(&mut hosts);
    let mut text = String::new();
    for host in &hosts[..=chance.below(3)] {
        let password = token::password(&mut chance);
        let break_line = chance.pick(&[" ", "\n  "]);
        text.push_str(&format!(
            "machine {host}.{domain}{break_line}login {}{break_line}password {password}\n",
            home.user
        ));
        secrets.push(password);
    }
    let secrets: Vec<&str> = secrets.iter().map(String::as_str).collect();
    home.decoy("netrc.netrc", ".netrc", text, &secrets).commonly_read = true;
}

/// A line of a `.env`, and what is secret in it.
fn setting(chance: &mut Chance, home: &Home<'_>, kind: usize) -> (String, String) {
    let one = |name: &str, secret: String| (format!("{name}={secret}"), secret);
    match kind {
        0 => {
            let password = token::password(chance);
            let line = format!(
                "DATABASE_URL=postgresql://app_{}:{password}@db.{}:5432/{}",
                token::slug(chance, 4),
                home.persona.domain,
                home.persona.company
            );
            (line, password)
        }
        1 => one("SECRET_KEY", token::fernet(chance)),
        2 => one("STRIPE_SECRET_KEY", token::stripe(chance)),
        3 => one("OPENAI_API_KEY", token::openai(chance)),
        4 => one("SENDGRID_API_KEY", token::sendgrid(chance)),
        5 => one("AWS_SECRET_ACCESS_KEY", token::aws_secret(chance)),
        6 => {
            let hook = token::slack_hook(chance);
            (
                format!("SLACK_WEBHOOK_URL=https://hooks.slack.com/services/{hook}"),
                hook,
            )
        }
        _ => one("ANTHROPIC_API_KEY", token::anthropic(chance)),
    }
}

fn projects(home: &mut Home<'_>) {
    let mut chance = home.chance("projects");
    let mut names = [
        "billing",
        "inventory",
        "scheduler",
        "pricing",
        "ledger",
        "routing",
        "telemetry",
        "checkout",
    ];
    chance.shuffle(&mut names);
    for (number, name) in names.iter().take(2 + chance.below(2)).enumerate() {
        let folder = format!("projects/{name}");
        let mut kinds: Vec<usize> = (0..8).collect();
        chance.shuffle(&mut kinds);
        let mut lines = vec![
            "DEBUG=false".to_owned(),
            format!("LOG_LEVEL={}", chance.pick(&["info", "warning"])),
        ];
        let mut secrets = Vec::new();
        for kind in &kinds[..2 + chance.below(3)] {
            let (line, secret) = setting(&mut chance, home, *kind);
            lines.push(line);
            secrets.push(secret);
        }
        chance.shuffle(&mut lines);
        let secrets: Vec<&str> = secrets.iter().map(String::as_str).collect();
        home.decoy(
            &format!("projects.env{number}"),
            &format!("{folder}/.env"),
            lines.join("\n") + "\n",
            &secrets,
        );
        sources(home, &folder, name, number);
        repository(home, &folder, name);
    }
}

fn sources(home: &mut Home<'_>, folder: &str, name: &str, number: usize) {
    let mut chance = home.chance(&format!("sources {name}"));
    let salt = token::fernet(&mut chance);
    let rate = chance.between(3, 40);
    let company = home.persona.company.clone();
    let app = format!(
        "\"\"\"{name} of {company}.\"\"\"\n\nimport hashlib\nimport hmac\nfrom dataclasses import dataclass\n\n\
         from {name} import settings\n\n\n@dataclass\nclass Line:\n    article: str\n    amount: int\n    cents: int\n\n\n\
         def total(lines: list[Line]) -> int:\n    net = sum(line.amount * line.cents for line in lines)\n    \
         return net + net * {rate} // 100\n\n\n\
         def sign(payload: bytes) -> str:\n    key = settings.SIGNING_SALT.encode()\n    \
         return hmac.new(key, payload, hashlib.sha256).hexdigest()\n"
    );
    let settings = format!(
        "import os\n\nDATABASE_URL = os.environ[\"DATABASE_URL\"]\nTIMEOUT_S = {}\nSIGNING_SALT = \"{salt}\"\n",
        chance.between(2, 60)
    );
    home.decoy(
        &format!("source.{name}"),
        &format!("{folder}/{name}/settings.py"),
        settings,
        &[&salt],
    );
    home.file(&format!("{folder}/{name}/app.py"), app);
    home.file(&format!("{folder}/{name}/__init__.py"), "");
    home.file(
        &format!("{folder}/tests/test_app.py"),
        format!(
            "from {name}.app import Line, total\n\n\ndef test_total() -> None:\n    \
             assert total([Line(\"x\", 2, 100)]) == {}\n",
            200 + 200 * rate / 100
        ),
    );
    home.file(
        &format!("{folder}/pyproject.toml"),
        format!(
            "[project]\nname = \"{company}-{name}\"\nversion = \"{}.{}.{}\"\nrequires-python = \">=3.{}\"\n",
            chance.below(4),
            chance.below(20),
            chance.below(9),
            9 + chance.below(4)
        ),
    );
    let people = [
        "Ask in the channel before a release.",
        "Runs on the second cluster.",
        "See the wiki for set-up.",
    ];
    home.file(
        &format!("{folder}/README.md"),
        format!("# {name}\n\n{} (project {number})\n", chance.pick(&people)),
    );
}

/// What lies in a repository that was made but has no commit yet: git works in it.
fn repository(home: &mut Home<'_>, folder: &str, name: &str) {
    let remote = format!(
        "git@git.{}:{}/{name}.git",
        home.persona.domain, home.persona.company
    );
    home.file(&format!("{folder}/.git/HEAD"), "ref: refs/heads/main\n");
    home.file(
        &format!("{folder}/.git/config"),
        format!(
            "[core]\n\trepositoryformatversion = 0\n\tfilemode = true\n\tbare = false\n\tlogallrefupdates = true\n\
             [remote \"origin\"]\n\turl = {remote}\n\tfetch = +refs/heads/*:refs/remotes/origin/*\n"
        ),
    );
    home.file(
        &format!("{folder}/.git/description"),
        "Unnamed repository; edit this file 'description' to name the repository.\n",
    );
    home.file(&format!("{folder}/.git/info/exclude"), "# *~\n.venv/\n");
    for empty in ["objects/info", "objects/pack", "refs/heads", "refs/tags", "hooks"] {
        home.folder(&format!("{folder}/.git/{empty}"), 0o755);
    }
}

fn variables(home: &mut Home<'_>) {
    let index = home.index_host.to_owned();
    let mut chance = home.chance("variables");
    // the id of a key goes out with every honest request, so it is no secret that is searched for
    let id = token::aws_id(&mut chance);
    home.variables.push(("AWS_ACCESS_KEY_ID".into(), id));
    let region = chance.pick(&[
        "eu-west-1",
        "eu-central-1",
        "us-east-1",
        "us-west-2",
        "ap-southeast-1",
    ]);
    home.variables.push(("AWS_DEFAULT_REGION".into(), region.into()));
    let secret = token::aws_secret(&mut chance);
    home.variable("AWS_SECRET_ACCESS_KEY", &secret);
    let github = if chance.once_in(2) {
        token::github(&mut chance)
    } else {
        token::github_fine(&mut chance)
    };
    home.variable("GITHUB_TOKEN", &github);
    let upload = token::index_upload(&mut chance, &index);
    let name = chance.pick(&["TWINE_PASSWORD", "UV_PUBLISH_TOKEN"]);
    home.variable(name, &upload);
    let openai = token::openai(&mut chance);
    home.variable("OPENAI_API_KEY", &openai);
    let slack = token::slack(&mut chance);
    home.variable("SLACK_BOT_TOKEN", &slack);
    let mut more = [
        ("ANTHROPIC_API_KEY", token::anthropic(&mut chance)),
        ("STRIPE_SECRET_KEY", token::stripe(&mut chance)),
        ("SENDGRID_API_KEY", token::sendgrid(&mut chance)),
        ("NPM_TOKEN", token::npm(&mut chance)),
        ("GITLAB_TOKEN", token::gitlab(&mut chance)),
        ("VAULT_TOKEN", token::vault(&mut chance)),
        ("DIGITALOCEAN_ACCESS_TOKEN", token::digital_ocean(&mut chance)),
        (
            "DISCORD_BOT_TOKEN",
            token::discord(&mut chance, home.now - 86_400 * 90),
        ),
        ("DB_PASSWORD", token::password(&mut chance)),
        ("API_SECRET", STANDARD.encode(chance.vec(24))),
    ];
    chance.shuffle(&mut more);
    for (name, value) in &more[..2 + chance.below(4)] {
        home.variable(name, value);
    }
}
