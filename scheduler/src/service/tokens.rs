//! Access tokens: `bj_<id>_<secret>`, where the id is 32 and the secret 64 hexadecimal digits.
//!
//! The secret is 256 random bits, so its plain SHA-256 can be stored: nobody can try them all.

use belljar_engine::rows::TokenRow;
use belljar_ids::{Digest, Micros, PrincipalName, TenantId, TokenId};
use sha2::{Digest as _, Sha256};
use std::fmt;
use std::str::FromStr;
use subtle::ConstantTimeEq as _;

/// A token as its holder has it. Never shown by `Debug`.
#[derive(Clone)]
pub struct Token {
    /// Its public half.
    pub id: TokenId,
    secret: [u8; 32],
}

/// A text that is no token.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("a token is `bj_`, 32 hexadecimal digits, `_` and 64 hexadecimal digits")]
pub struct InvalidToken;

impl Token {
    /// A new token.
    #[must_use]
    pub fn mint() -> Self {
        Self {
            id: TokenId::from_uuid(uuid::Uuid::now_v7()),
            secret: rand::random(),
        }
    }

    /// The text for its holder. It is not stored anywhere and cannot be had again.
    #[must_use]
    pub fn expose(&self) -> String {
        let id = self.id.as_uuid().simple();
        format!("bj_{id}_{}", hex::encode(self.secret))
    }

    /// What is stored of the secret.
    #[must_use]
    pub fn secret_hash(&self) -> Digest {
        Digest::from_bytes(Sha256::digest(self.secret).into())
    }

    /// Whether the secret is the one that was stored so; in a time that does not tell how near it is.
    #[must_use]
    pub fn fits(&self, secret_hash: &Digest) -> bool {
        self.secret_hash()
            .as_bytes()
            .ct_eq(secret_hash.as_bytes())
            .into()
    }

    /// The row of this token for `principal` as an administrator.
    #[must_use]
    pub fn row(&self, tenant: TenantId, principal: PrincipalName, now: Micros) -> TokenRow {
        TokenRow {
            tenant,
            token: self.id,
            principal,
            role: "admin".to_owned(),
            secret_hash: self.secret_hash(),
            created_at: now,
            revoked_at: None,
        }
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Token({}, …)", self.id)
    }
}

impl FromStr for Token {
    type Err = InvalidToken;

    fn from_str(text: &str) -> Result<Self, InvalidToken> {
        let rest = text.strip_prefix("bj_").ok_or(InvalidToken)?;
        let (id, secret) = rest.split_once('_').ok_or(InvalidToken)?;
        let id = format!("{}{id}", TokenId::PREFIX)
            .parse()
            .map_err(|_| InvalidToken)?;
        let mut bytes = [0; 32];
        hex::decode_to_slice(secret, &mut bytes).map_err(|_| InvalidToken)?;
        Ok(Self { id, secret: bytes })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_reads_back_and_only_its_secret_fits() {
        let token = Token::mint();
        let again: Token = token.expose().parse().unwrap();
        assert_eq!(again.id, token.id);
        assert!(again.fits(&token.secret_hash()));
        assert!(!Token::mint().fits(&token.secret_hash()));
        assert!(!format!("{token:?}").contains(&hex::encode(token.secret)));
        let text = token.expose();
        for text in [
            "",
            "bj_",
            "bj__",
            &text[1..],
            &text[..text.len() - 1],
            "bj_0_0",
        ] {
            assert!(text.parse::<Token>().is_err(), "{text:?}");
        }
    }
}
