//! Pages: cursors that only the list they came from takes, and the `Link` header.

use super::App;
use super::error::{ApiError, ApiResult};
use super::extract::Json;
use axum::http::{HeaderValue, header};
use axum::response::{IntoResponse, Response};
use belljar_api::problem::Code;
use belljar_api::{Page, page::PageQuery};
use belljar_store::Cursor;
use serde::Serialize;

/// How many items a page has where the caller does not say.
const LIMIT: u32 = 50;

/// One list: its path, with every filter in it, to which a cursor is bound.
#[derive(Debug)]
pub(super) struct List<'a> {
    app: &'a App,
    /// Path and filters, for example `/api/v1/runs?state=failed`.
    link: String,
    /// How many items to ask the store for.
    pub limit: u32,
    /// Where to go on.
    pub cursor: Option<Cursor>,
}

impl<'a> List<'a> {
    /// The list at `path` with `filters` as asked for.
    ///
    /// # Errors
    ///
    /// `bad_request` for a limit out of range, `bad_cursor` for a cursor that is not this list's.
    pub fn new(
        app: &'a App,
        path: &str,
        filters: &[(&str, Option<&str>)],
        page: &PageQuery,
    ) -> ApiResult<Self> {
        let mut link = format!("{}{path}", super::API);
        for (name, value) in filters {
            if let Some(value) = value {
                let join = if link.contains('?') { '&' } else { '?' };
                // Filters are names, ids and numbers: nothing in them needs an escape.
                link.push_str(&format!("{join}{name}={value}"));
            }
        }
        let limit = page.limit.unwrap_or(LIMIT);
        if !(1..=belljar_store::PAGE_MAX).contains(&limit) {
            let detail = format!("`limit` is 1 to {}", belljar_store::PAGE_MAX);
            return Err(ApiError::new(Code::BadRequest, detail));
        }
        let wrong = || ApiError::new(Code::BadCursor, "the cursor is not one of this list");
        let open = |text: &String| {
            let key = app.config().key.open(&link, text).ok_or_else(wrong)?;
            let key = String::from_utf8(key).map_err(|_| wrong())?;
            key.parse::<Cursor>().map_err(|_| wrong())
        };
        let cursor = page.cursor.as_ref().map(open).transpose()?;
        Ok(Self {
            app,
            link,
            limit,
            cursor,
        })
    }

    /// The answer with the store's page.
    pub fn answer<T, V: Serialize>(
        self,
        page: belljar_store::Page<T>,
        view: impl FnMut(T) -> V,
    ) -> Response {
        let items = page.items.into_iter().map(view).collect();
        self.answer_items(items, page.next.as_ref())
    }

    /// The answer with items made of the store's page, and where that page ended.
    pub fn answer_items<V: Serialize>(self, items: Vec<V>, next: Option<&Cursor>) -> Response {
        let sign = |next: &Cursor| {
            self.app
                .config()
                .key
                .sign(&self.link, next.to_string().as_bytes())
        };
        let next_cursor = next.map(sign);
        let link = next_cursor.as_ref().map(|next| {
            let join = if self.link.contains('?') { '&' } else { '?' };
            format!(
                "<{}{join}limit={}&cursor={next}>; rel=\"next\"",
                self.link, self.limit
            )
        });
        let mut response = Json(Page { items, next_cursor }).into_response();
        if let Some(link) = link.and_then(|link| HeaderValue::try_from(link).ok()) {
            response.headers_mut().insert(header::LINK, link);
        }
        response
    }
}
