//! What a developer keeps for machines of others: clouds, clusters, registries of images, vaults.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::chance::HEX;
use crate::date::Date;
use crate::home::Home;
use crate::key::der::Certificate;
use crate::key::{Pem, Primes, place};
use crate::store::sqlite::{Index, Marks, Table, database};
use crate::token::{self, URL_SAFE_LETTERS};

pub(crate) fn furnish(home: &mut Home<'_>, primes: &Primes) {
    aws(home);
    docker(home);
    google(home, primes);
    kubernetes(home, primes);
    hashicorp(home);
}

fn aws(home: &mut Home<'_>) {
    let mut chance = home.chance("aws");
    let mut profiles = vec!["default".to_owned()];
    let mut others = [home.persona.company.as_str(), "staging", "prod", "personal"];
    chance.shuffle(&mut others);
    profiles.extend(others[..chance.below(3)].iter().map(|s| (*s).to_owned()));
    let regions = [
        "eu-west-1",
        "eu-central-1",
        "us-east-1",
        "us-west-2",
        "ap-southeast-1",
    ];
    let (mut credentials, mut config, mut secrets) = (Vec::new(), Vec::new(), Vec::new());
    for profile in &profiles {
        let (id, secret) = (token::aws_id(&mut chance), token::aws_secret(&mut chance));
        let mut lines = [
            format!("aws_access_key_id = {id}"),
            format!("aws_secret_access_key = {secret}"),
        ];
        if chance.once_in(5) {
            lines.reverse();
        }
        credentials.push(format!("[{profile}]\n{}\n", lines.join("\n")));
        let head = if profile == "default" {
            "[default]".to_owned()
        } else {
            format!("[profile {profile}]")
        };
        config.push(format!(
            "{head}\nregion = {}\noutput = json\n",
            chance.pick(&regions)
        ));
        secrets.push(secret);
    }
    let secrets: Vec<&str> = secrets.iter().map(String::as_str).collect();
    home.decoy(
        "aws.credentials",
        ".aws/credentials",
        credentials.join("\n"),
        &secrets,
    );
    home.file_with_mode(".aws/config", config.join("\n"), 0o600);

    let mut chance = home.chance("aws sso");
    let token = format!("aoaAAAAAG{}", chance.word(180));
    let until = Date::of(home.now + chance.between(3_600, 28_800)).iso();
    let text = format!(
        "{{\"startUrl\": \"https://{}.awsapps.com/start\", \"region\": \"{}\", \"accessToken\": \"{token}\", \
         \"expiresAt\": \"{until}\"}}",
        home.persona.company,
        chance.pick(&regions)
    );
    // the name of such a file is the SHA-1 of the address
    let name = format!(".aws/sso/cache/{}.json", chance.text(HEX, 40));
    home.decoy("aws.sso", &name, text, &[&token]);
}

fn docker(home: &mut Home<'_>) {
    let mut chance = home.chance("docker");
    let mut registries = [
        format!("registry.{}", home.persona.domain),
        format!("harbor.{}:5000", home.persona.domain),
        "ghcr.io".to_owned(),
    ];
    chance.shuffle(&mut registries);
    let mut secrets = Vec::new();
    let entries: Vec<String> = registries
        .iter()
        .take(1 + chance.below(3))
        .map(|registry| {
            let password = if registry == "ghcr.io" {
                token::github(&mut chance)
            } else {
                token::password(&mut chance)
            };
            let auth = STANDARD.encode(format!("{}:{password}", home.user));
            secrets.extend([auth.clone(), password]);
            format!("\t\t\"{registry}\": {{\n\t\t\t\"auth\": \"{auth}\"\n\t\t}}")
        })
        .collect();
    let text = format!("{{\n\t\"auths\": {{\n{}\n\t}}\n}}\n", entries.join(",\n"));
    let secrets: Vec<&str> = secrets.iter().map(String::as_str).collect();
    home.decoy("docker.config", ".docker/config.json", text, &secrets);
}

fn hashicorp(home: &mut Home<'_>) {
    let mut chance = home.chance("vault");
    let token = token::vault(&mut chance);
    home.decoy("vault.token", ".vault-token", token.clone(), &[&token]);

    let mut chance = home.chance("terraform");
    let token = token::terraform(&mut chance);
    let text = format!(
        "{{\n  \"credentials\": {{\n    \"app.terraform.io\": {{\n      \"token\": \"{token}\"\n    }}\n  }}\n}}\n"
    );
    home.decoy(
        "terraform.credentials",
        ".terraform.d/credentials.tfrc.json",
        text,
        &[&token],
    );
}

fn kubernetes(home: &mut Home<'_>, primes: &Primes) {
    let mut chance = home.chance("kube");
    let (domain, company) = (&home.persona.domain, &home.persona.company);
    let cluster = format!("{company}-{}", chance.pick(&["prod", "staging", "eu", "k3s"]));
    let namespace = chance.pick(&["default", "billing", "platform", "web"]);
    let from = home.now - chance.between(86_400 * 5, 86_400 * 300);
    let (authority, client) = (primes.key(0, 2), primes.key(1, 3));
    let authority_certificate = Certificate {
        serial: chance.bytes(),
        issuer: "kubernetes",
        organization: None,
        common_name: "kubernetes",
        from,
        days: 3650,
        is_authority: true,
    }
    .sign(&authority, &authority);
    let client_certificate = Certificate {
        serial: chance.bytes(),
        issuer: "kubernetes",
        organization: Some("system:masters"),
        common_name: "kubernetes-admin",
        from,
        days: 365,
        is_authority: false,
    }
    .sign(&client, &authority);
    let in_base64 = |label: &str, bytes: &[u8]| STANDARD.encode(Pem::new(label, bytes, 64).text);
    let bytes = client.pkcs1();
    let key = Pem::new("RSA PRIVATE KEY", &bytes, 64);
    let (begin, end) = place(&client.d, &bytes);
    let data = STANDARD.encode(&key.text);
    // a piece from its middle, as it stands in the file
    let piece = &data[data.len() / 2 - data.len() / 2 % 4..][..64];
    let subject = format!("system:serviceaccount:{namespace}:deployer");
    let token = token::jwt(&mut chance, "kubernetes/serviceaccount", &subject, home.now);
    let text = format!(
        "apiVersion: v1\nclusters:\n- cluster:\n    certificate-authority-data: {}\n    \
         server: https://k8s.{domain}:6443\n  name: {cluster}\n\
         contexts:\n- context:\n    cluster: {cluster}\n    namespace: {namespace}\n    user: {cluster}-admin\n  \
         name: {cluster}\ncurrent-context: {cluster}\nkind: Config\npreferences: {{}}\nusers:\n\
         - name: {cluster}-admin\n  user:\n    client-certificate-data: {}\n    client-key-data: {data}\n\
         - name: {cluster}-deployer\n  user:\n    token: {token}\n",
        in_base64("CERTIFICATE", &authority_certificate),
        in_base64("CERTIFICATE", &client_certificate),
    );
    let mut secrets = vec![token.as_str(), piece];
    secrets.extend(key.secret_lines(begin, end));
    home.decoy("kubernetes.config", ".kube/config", text, &secrets);
}

/// Credentials of a service account, where Google's libraries look for them by default.
fn google(home: &mut Home<'_>, primes: &Primes) {
    let mut chance = home.chance("gcloud");
    let key = primes.key(2, 3);
    let bytes = key.pkcs8();
    let pem = Pem::new("PRIVATE KEY", &bytes, 64);
    let (from, to) = place(&key.d, &bytes);
    let project = format!("{}-{}", home.persona.company, chance.between(100_000, 499_999));
    let account = chance.pick(&["terraform", "ci-runner", "deployer", "backup", "bigquery-etl"]);
    let text = format!(
        "{{\n  \"type\": \"service_account\",\n  \"project_id\": \"{project}\",\n  \"private_key_id\": \"{}\",\n  \
         \"private_key\": \"{}\",\n  \"client_email\": \"{account}@{project}.iam.gserviceaccount.com\",\n  \
         \"client_id\": \"{}\",\n  \"auth_uri\": \"https://accounts.google.com/o/oauth2/auth\",\n  \
         \"token_uri\": \"https://oauth2.googleapis.com/token\",\n  \"universe_domain\": \"googleapis.com\"\n}}\n",
        chance.text(HEX, 40),
        pem.text.replace('\n', "\\n"),
        chance.between(100_000_000_000_000_000, 999_999_999_999_999_999),
    );
    home.decoy(
        "gcloud.adc",
        ".config/gcloud/application_default_credentials.json",
        text,
        &pem.secret_lines(from, to),
    );
    home.file(
        ".config/gcloud/configurations/config_default",
        format!(
            "[core]\naccount = {}\nproject = {project}\n",
            home.persona.email()
        ),
    );
    home.file(".config/gcloud/active_config", "default");

    // what `gcloud auth login` leaves
    let refresh = format!("1//0{}", chance.text(URL_SAFE_LETTERS, 100));
    let value = format!(
        "{{\"client_id\": \"{}.apps.googleusercontent.com\", \"refresh_token\": \"{refresh}\", \"type\": \"authorized_user\"}}",
        chance.between(10_000_000_000, 99_999_999_999)
    );
    let bytes = database(
        &[Table {
            name: "credentials",
            sql: "CREATE TABLE \"credentials\" (account_id TEXT PRIMARY KEY, value BLOB)",
            rows: vec![vec![home.persona.email().into(), value.into()]],
            indexes: vec![Index::of_constraint("credentials", &[0])],
        }],
        Marks::default(),
    );
    home.decoy(
        "gcloud.login",
        ".config/gcloud/credentials.db",
        bytes,
        &[&refresh],
    );
}
