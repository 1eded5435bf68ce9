//! From text to tokens with their places.
//!
//! The lexical part of RON that Idol files use: words, strings plain and raw,
//! whole numbers, punctuation, comments of both kinds (nested blocks too), and
//! the extension header. Floats, characters and byte strings have no place in
//! an interface and are refused as they are met.

use crate::diagnostic::{Complaint, Position};

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Word(String),
    Text(String),
    Number(u64),
    Punct(char),
    End,
}

impl Token {
    /// The token, as what a message says was found.
    pub(crate) fn found(&self) -> String {
        match self {
            Self::Word(word) => format!("found `{word}`"),
            Self::Text(_) => "found a string".into(),
            Self::Number(number) => format!("found number {number}"),
            Self::Punct(c) => format!("found `{c}`"),
            Self::End => "found the end of the file".into(),
        }
    }
}

/// Bytes that a text may have: an interface is a page or two, and what reads
/// it recurses.
const TEXT_MAX: usize = 1 << 20;

pub(crate) fn scan(text: &str) -> Result<Vec<(Position, Token)>, Complaint> {
    if text.len() > TEXT_MAX {
        let expected = format!("at most {TEXT_MAX} bytes");
        return Err(Complaint::new(Position::START, "file too large", expected));
    }
    let mut scanner = Scanner { chars: text.chars().collect(), next: 0, at: Position::START };
    let mut tokens = Vec::new();
    loop {
        scanner.skip_blank()?;
        let at = scanner.at;
        let token = scanner.token()?;
        let end = token == Token::End;
        tokens.push((at, token));
        if end {
            return Ok(tokens);
        }
    }
}

struct Scanner {
    chars: Vec<char>,
    next: usize,
    at: Position,
}

impl Scanner {
    fn peek(&self, ahead: usize) -> Option<char> {
        self.chars.get(self.next + ahead).copied()
    }

    fn bump(&mut self) -> Option<char> {
        let c = self.peek(0)?;
        self.next += 1;
        if c == '\n' {
            self.at = Position { line: self.at.line + 1, column: 1 };
        } else {
            self.at.column += 1;
        }
        Some(c)
    }

    fn skip_blank(&mut self) -> Result<(), Complaint> {
        loop {
            match (self.peek(0), self.peek(1)) {
                (Some(c), _) if c.is_whitespace() || c == '\u{feff}' => {
                    self.bump();
                }
                (Some('/'), Some('/')) => while !matches!(self.bump(), None | Some('\n')) {},
                (Some('/'), Some('*')) => self.skip_block_comment()?,
                _ => return Ok(()),
            }
        }
    }

    fn skip_block_comment(&mut self) -> Result<(), Complaint> {
        let start = self.at;
        let mut depth = 0_usize;
        loop {
            match (self.bump(), self.peek(0)) {
                (Some('/'), Some('*')) => {
                    self.bump();
                    depth += 1;
                }
                (Some('*'), Some('/')) => {
                    self.bump();
                    depth -= 1;
                    if depth == 0 {
                        return Ok(());
                    }
                }
                (Some(_), _) => {}
                (None, _) => {
                    return Err(Complaint::new(start, "comment does not end", "`*/`"));
                }
            }
        }
    }

    fn token(&mut self) -> Result<Token, Complaint> {
        let at = self.at;
        let Some(c) = self.peek(0) else { return Ok(Token::End) };
        match c {
            '"' => self.text(),
            'r' if matches!(self.peek(1), Some('"')) || self.raw_with_hashes() => self.raw_text(),
            'b' if matches!(self.peek(1), Some('"')) => {
                Err(Complaint::new(at, "found a byte string", "a string"))
            }
            '(' | ')' | '{' | '}' | '[' | ']' | ':' | ',' | '#' | '!' => {
                self.bump();
                Ok(Token::Punct(c))
            }
            _ if c.is_alphabetic() || c == '_' => Ok(Token::Word(self.word())),
            _ if c.is_ascii_digit() => self.number(),
            _ => Err(Complaint::new(
                at,
                format!("found `{}`", c.escape_default()),
                "a word, a string, a number, a bracket or a comma",
            )),
        }
    }

    fn raw_with_hashes(&self) -> bool {
        let mut ahead = 1;
        while self.peek(ahead) == Some('#') {
            ahead += 1;
        }
        ahead > 1 && self.peek(ahead) == Some('"')
    }

    fn word(&mut self) -> String {
        let mut word = String::new();
        while let Some(c) = self.peek(0) {
            if !(c.is_alphanumeric() || c == '_') {
                break;
            }
            word.push(c);
            self.bump();
        }
        word
    }

    fn number(&mut self) -> Result<Token, Complaint> {
        let at = self.at;
        let written = self.word();
        let digits = written.replace('_', "");
        let value = match digits.as_bytes() {
            [b'0', b'x', ..] => u64::from_str_radix(&digits[2..], 16),
            [b'0', b'o', ..] => u64::from_str_radix(&digits[2..], 8),
            [b'0', b'b', ..] => u64::from_str_radix(&digits[2..], 2),
            _ => digits.parse(),
        };
        match value {
            Ok(value) if self.peek(0) != Some('.') => Ok(Token::Number(value)),
            _ => Err(Complaint::new(
                at,
                format!("bad number `{written}`"),
                "a whole number below 2^64",
            )),
        }
    }

    fn text(&mut self) -> Result<Token, Complaint> {
        let start = self.at;
        self.bump();
        let mut text = String::new();
        loop {
            let at = self.at;
            match self.bump() {
                Some('"') => return Ok(Token::Text(text)),
                Some('\\') => self.escape(at, &mut text)?,
                Some(c) => text.push(c),
                None => return Err(Complaint::new(start, "string does not end", "`\"`")),
            }
        }
    }

    fn escape(&mut self, at: Position, text: &mut String) -> Result<(), Complaint> {
        let escaped = match self.bump() {
            Some('n') => Some('\n'),
            Some('r') => Some('\r'),
            Some('t') => Some('\t'),
            Some('0') => Some('\0'),
            Some(c @ ('\\' | '"' | '\'')) => Some(c),
            Some('x') => self.hex(2),
            Some('u') if self.bump() == Some('{') => {
                let digits = (0..).take_while(|&n| self.peek(n).is_some_and(|c| c != '}')).count();
                let code = if (1..=6).contains(&digits) { self.hex(digits) } else { None };
                code.filter(|_| self.bump() == Some('}'))
            }
            // A line that ends in a backslash goes on after the blanks.
            Some('\n') => {
                while self.peek(0).is_some_and(char::is_whitespace) {
                    self.bump();
                }
                return Ok(());
            }
            _ => None,
        };
        match escaped {
            Some(c) => {
                text.push(c);
                Ok(())
            }
            None => Err(Complaint::new(
                at,
                "bad escape in a string",
                r#"\n, \r, \t, \0, \\, \", \', \xHH or \u{H...}"#,
            )),
        }
    }

    fn hex(&mut self, digits: usize) -> Option<char> {
        let mut code = 0;
        for _ in 0..digits {
            code = code << 4 | self.bump()?.to_digit(16)?;
        }
        char::from_u32(code)
    }

    fn raw_text(&mut self) -> Result<Token, Complaint> {
        let start = self.at;
        self.bump();
        let mut hashes = 0;
        while self.peek(0) == Some('#') {
            self.bump();
            hashes += 1;
        }
        self.bump();
        let mut text = String::new();
        loop {
            match self.bump() {
                Some('"') if (0..hashes).all(|n| self.peek(n) == Some('#')) => {
                    for _ in 0..hashes {
                        self.bump();
                    }
                    return Ok(Token::Text(text));
                }
                Some(c) => text.push(c),
                None => {
                    let expected = format!("`\"{}`", "#".repeat(hashes));
                    return Err(Complaint::new(start, "raw string does not end", expected));
                }
            }
        }
    }
}
