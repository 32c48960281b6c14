//! What a developer keeps for machines of others: clouds, clusters, registries of images, vaults.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;

use crate::chance::HEX;
use crate::date::Date;
use crate::home::Home;
use crate::token;

pub(crate) fn furnish(home: &mut Home<'_>) {
    aws(home);
    docker(home);
    kubernetes(home);
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

fn kubernetes(home: &mut Home<'_>) {
    let mut chance = home.chance("kube");
    let (domain, company) = (&home.persona.domain, &home.persona.company);
    let cluster = format!("{company}-{}", chance.pick(&["prod", "staging", "eu", "k3s"]));
    let namespace = chance.pick(&["default", "billing", "platform", "web"]);
    let subject = format!("system:serviceaccount:{namespace}:deployer");
    let token = token::jwt(&mut chance, "kubernetes/serviceaccount", &subject, home.now);
    let text = format!(
        "apiVersion: v1\nkind: Config\nclusters:\n- cluster:\n    server: https://k8s.{domain}:6443\n  name: {cluster}\n\
         contexts:\n- context:\n    cluster: {cluster}\n    namespace: {namespace}\n    user: {cluster}-deployer\n  \
         name: {cluster}\ncurrent-context: {cluster}\nusers:\n- name: {cluster}-deployer\n  user:\n    token: {token}\n"
    );
    home.decoy("kubernetes.config", ".kube/config", text, &[&token]);
}
