use super::*;
use std::collections::HashMap;
use std::os::unix::fs::PermissionsExt as _;

const TOKEN: &str = "bj_tok1_secret";

/// A home folder and the variables that point at it.
struct Home {
    folder: tempfile::TempDir,
    vars: HashMap<String, OsString>,
}

impl Home {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let vars = [
            ("HOME", folder.path().join("home")),
            ("BELLJAR_DATA_DIR", folder.path().join("data")),
        ];
        let vars = vars
            .map(|(name, path)| (name.to_owned(), path.into_os_string()))
            .into();
        Self { folder, vars }
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.vars.insert(name.to_owned(), value.into());
        self
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.folder.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }

    fn environment(&self) -> Environment {
        let vars = self.vars.clone();
        Environment::new(move |name| vars.get(name).cloned())
    }

    fn find(&self, args: &ClientArgs) -> Result<Settings, ConfigError> {
        Settings::find(args, &self.environment())
    }
}

fn server(url: &str) -> ClientArgs {
    ClientArgs {
        server: Some(url.to_owned()),
        ..ClientArgs::default()
    }
}

#[test]
fn nothing_set_means_the_standalone_here() {
    let home = Home::new();
    let settings = home.find(&ClientArgs::default()).unwrap();
    assert_eq!(settings.server.as_str(), "http://127.0.0.1:8686/");
    assert_eq!(settings.server_origin, Origin::Default);
    assert_eq!(settings.token, None);
    assert!(
        settings
            .looked_at
            .contains("data/token cannot be read: No such file"),
        "{}",
        settings.looked_at
    );

    let path = home.file("data/token", &format!("{TOKEN}\n"));
    let token = home.find(&ClientArgs::default()).unwrap().token.unwrap();
    assert_eq!(token.secret(), TOKEN);
    assert_eq!(token.to_string(), format!("the file {}", path.display()));
    assert!(!format!("{token:?}").contains("secret"));
}

#[test]
fn flag_then_environment_then_file() {
    let home = Home::new()
        .with("BELLJAR_SERVER", "http://env:1")
        .with("BELLJAR_TOKEN", "bj_env_x");
    home.file(
        "home/.config/belljar/config.toml",
        "server = 'http://file:1'\ntoken_file = '/none'\n",
    );
    let settings = home.find(&ClientArgs::default()).unwrap();
    assert_eq!(settings.server.as_str(), "http://env:1/");
    assert_eq!(settings.token.unwrap().origin, Origin::Env("BELLJAR_TOKEN"));

    let args = ClientArgs {
        token: Some(TOKEN.into()),
        ..server("http://flag:1/")
    };
    let settings = home.find(&args).unwrap();
    assert_eq!(settings.server.as_str(), "http://flag:1/");
    assert_eq!(settings.token.unwrap().origin, Origin::Flag("--token"));
}

#[test]
fn a_token_goes_to_its_own_server_only() {
    let home = Home::new();
    let token = home.file("token", TOKEN);
    home.file("data/token", "bj_standalone_x");
    let config = format!(
        "server = 'http://far:1'\ntoken_file = '{}'\n",
        token.display()
    );
    home.file("home/.config/belljar/config.toml", &config);

    assert_eq!(
        home.find(&ClientArgs::default())
            .unwrap()
            .token
            .unwrap()
            .secret(),
        TOKEN
    );
    assert_eq!(
        home.find(&server("http://far:1/"))
            .unwrap()
            .token
            .unwrap()
            .secret(),
        TOKEN
    );
    assert_eq!(home.find(&server("http://other:1")).unwrap().token, None);
    let here = home
        .find(&server("http://localhost:8686"))
        .unwrap()
        .token
        .unwrap();
    assert_eq!(here.secret(), "bj_standalone_x");
}

#[test]
fn a_file_that_is_no_token_is_not_sent() {
    let home = Home::new();
    for text in ["-----BEGIN PRIVATE KEY-----", "", "bj_a b", "bj_\u{1}"] {
        let path = home.file("t", text);
        let args = ClientArgs {
            token_file: Some(path),
            ..ClientArgs::default()
        };
        assert!(
            matches!(home.find(&args), Err(ConfigError::Token { .. })),
            "{text}"
        );
    }
    let args = ClientArgs {
        token_file: Some("/nowhere".into()),
        ..ClientArgs::default()
    };
    let message = home.find(&args).unwrap_err().to_string();
    assert!(
        message.starts_with("failed to read /nowhere (--token-file): No such file"),
        "{message}"
    );
}

#[test]
fn addresses_that_cannot_be_used_say_why() {
    let home = Home::new();
    for (url, problem) in [
        ("127.0.0.1:8686", "write it as http://"),
        ("https://a", "https is not spoken yet"),
        ("ftp://a", "write it as http://"),
        ("http://u:p@a", "user or password"),
        ("http://a/api/v1", "must end after the port"),
    ] {
        let message = home.find(&server(url)).unwrap_err().to_string();
        assert!(message.contains(problem), "{url}: {message}");
        assert!(message.contains("--server"), "{message}");
    }
}

#[test]
fn what_login_remembers_is_private_and_found_again() {
    let home = Home::new();
    let url = server_url("http://10.0.0.1:8686", &Origin::Default).unwrap();
    let token = Token::new(TOKEN, Origin::Flag("--token"), None).unwrap();
    let written = remember(&home.environment(), &url, &token).unwrap();
    assert_eq!(written.len(), 2);
    for path in &written {
        assert_eq!(
            std::fs::metadata(path).unwrap().permissions().mode() & 0o777,
            0o600,
            "{path:?}"
        );
    }
    let settings = home.find(&ClientArgs::default()).unwrap();
    assert_eq!(settings.server, url);
    assert_eq!(settings.token.unwrap().secret(), TOKEN);
}

#[test]
fn a_broken_configuration_is_named() {
    let home = Home::new();
    home.file("home/.config/belljar/config.toml", "server = \n");
    let message = home.find(&ClientArgs::default()).unwrap_err().to_string();
    assert!(message.contains("config.toml"), "{message}");
    let home = Home::new();
    home.file("home/.config/belljar/config.toml", "sever = 'a'\n");
    let message = home.find(&ClientArgs::default()).unwrap_err().to_string();
    assert!(message.contains("sever"), "{message}");
}

#[test]
fn what_is_on_this_machine() {
    for (url, here) in [
        ("http://127.9.0.1", true),
        ("http://[::1]:1", true),
        ("http://localhost", true),
        ("http://localhost.evil.example", false),
        ("http://10.0.0.1", false),
        ("http://127.0.0.1.evil.example", false),
    ] {
        assert_eq!(
            is_loopback(&reqwest::Url::parse(url).unwrap()),
            here,
            "{url}"
        );
    }
}
