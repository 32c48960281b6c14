//! The metadata services of clouds: what a machine there would be told about itself, with credentials that open nothing.

use super::Place;
use super::answers::{Answer, Asked};
use crate::settings::Credentials;

const GOOGLE: &str = "metadata.google.internal";

/// Answers for whoever is asked at the addresses of such a service; `None` when it is somebody else.
pub(super) fn answer(asked: &Asked, host: &str, credentials: &Credentials, place: &Place) -> Option<Answer> {
    let address = place.address.to_string();
    let link_local = ["169.254.169.254", "fd00:ec2::254"];
    let containers = ["169.254.170.2", "169.254.170.23"];
    let called = |one: &str| address == one || host == one;
    let mut answer = if called(GOOGLE) || host == "metadata" || asked.path().starts_with("/computeMetadata/")
    {
        google(asked, credentials)
    } else if containers.iter().any(|one| called(one)) {
        containers_of_aws(credentials)
    } else if link_local.iter().any(|one| called(one)) {
        if asked.google {
            google(asked, credentials)
        } else if asked.path().starts_with("/metadata/") {
            azure(asked, credentials)
        } else {
            aws(asked, credentials)
        }
    } else {
        return None;
    };
    answer.metadata = true;
    Some(answer)
}

fn text(body: impl Into<Vec<u8>>) -> Answer {
    Answer::new(200, "text/plain", body)
}

fn google(asked: &Asked, credentials: &Credentials) -> Answer {
    let account = &credentials.google_account;
    let below = asked
        .path()
        .trim_start_matches("/computeMetadata/v1")
        .trim_matches('/');
    let mut answer = match below {
        _ if !asked.google && asked.path() != "/" => Answer::new(
            403,
            "text/html",
            "Missing required header \"Metadata-Flavor\": \"Google\"\n",
        ),
        "" => text("instance/\nproject/\n"),
        "project/project-id" => text("core-services-prod"),
        "project/numeric-project-id" => text("482913370164"),
        "instance/id" => text("5817340921864430127"),
        "instance/hostname" => text("workstation.c.core-services-prod.internal"),
        "instance/zone" => text("projects/482913370164/zones/europe-west4-a"),
        "instance/service-accounts" if !account.is_empty() => text(format!("default/\n{account}/\n")),
        path if !account.is_empty() && path.starts_with("instance/service-accounts/") => {
            match path.rsplit('/').next().unwrap_or_default() {
                "token" => Answer::json(format!(
                    "{{\"access_token\":\"{}\",\"expires_in\":3599,\"token_type\":\"Bearer\"}}",
                    credentials.google_token
                )),
                "email" => text(account.as_str()),
                "scopes" => text("https://www.googleapis.com/auth/cloud-platform\n"),
                "aliases" => text("default\n"),
                "default" => Answer::json(format!(
                    "{{\"aliases\":[\"default\"],\"email\":\"{account}\",\"scopes\":[\"https://www.googleapis.com/auth/cloud-platform\"]}}"
                )),
                _ => Answer::not_found(),
            }
        }
        _ => Answer::not_found(),
    };
    answer.fields.push(("metadata-flavor", "Google".to_owned()));
    answer
        .fields
        .push(("server", "Metadata Server for VM".to_owned()));
    answer
}

fn keys(credentials: &Credentials) -> String {
    format!(
        "{{\n  \"Code\" : \"Success\",\n  \"LastUpdated\" : \"2024-05-14T09:12:31Z\",\n  \"Type\" : \"AWS-HMAC\",\n  \
         \"AccessKeyId\" : \"{}\",\n  \"SecretAccessKey\" : \"{}\",\n  \"Token\" : \"{}\",\n  \
         \"Expiration\" : \"2099-05-14T15:36:22Z\"\n}}",
        credentials.aws_access_key_id, credentials.aws_secret_access_key, credentials.aws_session_token
    )
}

fn aws(asked: &Asked, credentials: &Credentials) -> Answer {
    let role = &credentials.aws_role;
    let path = asked.path();
    let mut answer = if asked.verb == "PUT" && path == "/latest/api/token" {
        let mut answer = text("AQAEAFVZnV0tR2xvYmFsU2VydmljZXMtc2Vzc2lvbi10b2tlbg==");
        answer
            .fields
            .push(("x-aws-ec2-metadata-token-ttl-seconds", "21600".to_owned()));
        answer
    } else {
        let below = path.trim_start_matches('/');
        let below = below.split_once('/').map_or("", |(_, rest)| rest);
        match below.trim_end_matches('/') {
            "" => text("dynamic\nmeta-data\nuser-data"),
            "meta-data" => text("ami-id\nhostname\niam/\ninstance-id\ninstance-type\nlocal-ipv4\nplacement/"),
            "meta-data/ami-id" => text("ami-0f3c7d07486cad139"),
            "meta-data/hostname" | "meta-data/local-hostname" => {
                text("ip-10-0-2-15.eu-west-1.compute.internal")
            }
            "meta-data/instance-id" => text("i-0a1b7c93d45e6f208"),
            "meta-data/instance-type" => text("m5.large"),
            "meta-data/local-ipv4" => text("10.0.2.15"),
            "meta-data/placement/region" => text("eu-west-1"),
            "meta-data/placement/availability-zone" => text("eu-west-1b"),
            "dynamic/instance-identity/document" => Answer::json(
                "{\n  \"accountId\" : \"123456789012\",\n  \"imageId\" : \"ami-0f3c7d07486cad139\",\n  \"instanceId\" : \"i-0a1b7c93d45e6f208\",\n  \
                 \"instanceType\" : \"m5.large\",\n  \"privateIp\" : \"10.0.2.15\",\n  \"region\" : \"eu-west-1\"\n}",
            ),
            "meta-data/iam" if !role.is_empty() => text("info\nsecurity-credentials/"),
            "meta-data/iam/security-credentials" if !role.is_empty() => text(role.as_str()),
            "meta-data/iam/info" if !role.is_empty() => Answer::json(format!(
                "{{\n  \"Code\" : \"Success\",\n  \"InstanceProfileArn\" : \"arn:aws:iam::123456789012:instance-profile/{role}\"\n}}"
            )),
            other
                if !role.is_empty()
                    && other.strip_prefix("meta-data/iam/security-credentials/") == Some(role) =>
            {
                text(keys(credentials))
            }
            _ => Answer::not_found(),
        }
    };
    answer.fields.push(("server", "EC2ws".to_owned()));
    answer
}

fn containers_of_aws(credentials: &Credentials) -> Answer {
    if credentials.aws_role.is_empty() {
        return Answer::not_found();
    }
    Answer::json(format!(
        "{{\"RoleArn\":\"arn:aws:iam::123456789012:role/{}\",\"AccessKeyId\":\"{}\",\"SecretAccessKey\":\"{}\",\"Token\":\"{}\",\
         \"Expiration\":\"2099-05-14T15:36:22Z\"}}",
        credentials.aws_role,
        credentials.aws_access_key_id,
        credentials.aws_secret_access_key,
        credentials.aws_session_token
    ))
}

fn azure(asked: &Asked, credentials: &Credentials) -> Answer {
    if !asked.azure {
        return Answer::new(
            400,
            "application/json",
            "{\"error\":\"Bad request. Required metadata header not specified\"}",
        );
    }
    match asked.path().trim_end_matches('/') {
        "/metadata/instance" => Answer::json(
            "{\"compute\":{\"azEnvironment\":\"AzurePublicCloud\",\"location\":\"westeurope\",\"name\":\"workstation\",\"vmSize\":\"Standard_D2s_v3\"}}",
        ),
        "/metadata/identity/oauth2/token" if !credentials.azure_token.is_empty() => Answer::json(format!(
            "{{\"access_token\":\"{}\",\"expires_in\":\"86399\",\"resource\":\"https://management.azure.com/\",\"token_type\":\"Bearer\"}}",
            credentials.azure_token
        )),
        _ => Answer::not_found(),
    }
}
