//! Which hosts and origins a call may name: the defence against other pages in the same browser.
//!
//! A page elsewhere can make a browser call us, by DNS rebinding under a name of its own (caught by
//! `Host`) or across origins with our cookie (caught by `SameSite=Strict`, and here by `Origin` and
//! `Sec-Fetch-Site`). Calls with a token need none of this, but pass the same check of `Host`.

use super::App;
use super::error::ApiError;
use axum::extract::{Request, State};
use axum::http::{HeaderMap, Uri, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use belljar_api::problem::Code;

/// The names of this machine to itself; always allowed.
const LOOPBACK: [&str; 3] = ["localhost", "127.0.0.1", "[::1]"];

/// Refuses calls to hosts and from origins that are not ours.
pub(super) async fn check(State(app): State<App>, request: Request, next: Next) -> Response {
    match verdict(
        &app.config().allowed_hosts,
        request.uri(),
        request.headers(),
    ) {
        Ok(()) => next.run(request).await,
        Err(error) => error.into_response(),
    }
}

fn verdict(allowed: &[String], uri: &Uri, headers: &HeaderMap) -> Result<(), ApiError> {
    let sent = headers
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    // HTTP/2 has the host in the URI.
    let authority = uri.authority().map(|authority| authority.as_str()).or(sent);
    let host = authority.map(host_of).unwrap_or_default();
    if !is_allowed(allowed, host) {
        return Err(refused(format!(
            "the host `{}` is not one of this server's; add it to `allowed_hosts`",
            host.escape_debug()
        )));
    }
    let Some(origin) = headers.get(header::ORIGIN) else {
        return Ok(());
    };
    // Our own page has the origin of the address it was loaded from, which is the one it calls.
    let origin = origin.to_str().unwrap_or_default();
    let of_origin = origin.split_once("://").map(|(_, authority)| authority);
    if of_origin.is_some() && of_origin == authority {
        Ok(())
    } else {
        Err(refused("a page of another origin may not call this server"))
    }
}

/// A write with a cookie must come from our own page.
pub(super) fn check_write(headers: &HeaderMap) -> Result<(), ApiError> {
    let text = |name| {
        headers
            .get(name)
            .and_then(|value: &axum::http::HeaderValue| value.to_str().ok())
    };
    match text(header::HeaderName::from_static("sec-fetch-site")) {
        Some("same-origin") => Ok(()),
        // An old browser: `verdict` has compared the origin, if there is one.
        None if headers.contains_key(header::ORIGIN) => Ok(()),
        _ => Err(refused(
            "a write with a session must come from this server's own page",
        )),
    }
}

fn refused(detail: impl Into<String>) -> ApiError {
    ApiError::new(Code::OriginRefused, detail)
}

/// The host in `host:port`, with the brackets of an IPv6 address.
fn host_of(authority: &str) -> &str {
    let after_bracket = authority.rfind(']').map_or(0, |at| at + 1);
    match authority[after_bracket..].rfind(':') {
        Some(colon) => &authority[..after_bracket + colon],
        None => authority,
    }
}

fn is_allowed(allowed: &[String], host: &str) -> bool {
    let own = LOOPBACK
        .iter()
        .copied()
        .chain(allowed.iter().map(String::as_str));
    own.into_iter().any(|own| own.eq_ignore_ascii_case(host))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(host: &str, origin: Option<&str>) -> bool {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, host.parse().unwrap());
        if let Some(origin) = origin {
            headers.insert(header::ORIGIN, origin.parse().unwrap());
        }
        verdict(
            &["bell.example".to_owned()],
            &Uri::from_static("/"),
            &headers,
        )
        .is_ok()
    }

    #[test]
    fn hosts_and_origins() {
        assert!(check("localhost:7780", None));
        assert!(check("127.0.0.1", None));
        assert!(check("[::1]:7780", None));
        assert!(check("BELL.example:1", None));
        for host in [
            "evil.example",
            "localhost.evil.example:7780",
            "",
            "127.0.0.2",
            "[::1",
            "[::1]x:1",
        ] {
            assert!(!check(host, None), "{host:?}");
        }
        assert!(check("localhost:7780", Some("http://localhost:7780")));
        for origin in [
            "http://localhost:1",
            "null",
            "https://evil.example",
            "",
            "localhost:7780",
        ] {
            assert!(!check("localhost:7780", Some(origin)), "{origin:?}");
        }
    }
}
