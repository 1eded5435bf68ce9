//! From tokens to a tree of RON values with their places.
//!
//! Knows brackets, commas and keys, not what an interface is; that is `read`.
//! The tree keeps duplicated keys, so that whoever reads it can refuse them.

use crate::diagnostic::{Complaint, Position};
use crate::scan::{Token, scan};

/// How deep brackets may nest: an interface needs seven levels.
const DEPTH_MAX: usize = 32;

/// Extensions of RON that a header may enable, as the stock reader knows them.
const EXTENSIONS: [&str; 4] =
    ["unwrap_newtypes", "implicit_some", "unwrap_variant_newtypes", "explicit_struct_names"];

#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub(crate) at: Position,
    pub(crate) kind: Kind,
}

#[derive(Clone, Debug)]
pub(crate) enum Kind {
    Text(String),
    Number(u64),
    Word(String),
    /// `Name(…)` or `(…)` with values alone.
    Tuple {
        name: Option<String>,
        values: Vec<Node>,
    },
    /// `Name(…)` or `(…)` with `key: value` inside.
    Record {
        name: Option<String>,
        entries: Vec<Entry>,
    },
    Map(Vec<(Node, Node)>),
}

#[derive(Clone, Debug)]
pub(crate) struct Entry {
    pub(crate) at: Position,
    pub(crate) key: String,
    pub(crate) value: Node,
}

impl Node {
    /// The value in the words of a message.
    pub(crate) fn describe(&self) -> String {
        match &self.kind {
            Kind::Text(_) => "a string".into(),
            Kind::Number(number) => format!("number {number}"),
            Kind::Word(word) => format!("`{word}`"),
            Kind::Tuple { name: Some(name), .. } | Kind::Record { name: Some(name), .. } => {
                format!("`{name}(…)`")
            }
            Kind::Tuple { name: None, .. } => "`(…)`".into(),
            Kind::Record { name: None, .. } => "`(key: …)`".into(),
            Kind::Map(_) => "a map `{…}`".into(),
        }
    }
}

/// A whole file: one value, perhaps after an extension header. The second part
/// says whether `implicit_some` is on.
pub(crate) fn parse(text: &str) -> Result<(Node, bool), Complaint> {
    let mut parser = Parser { tokens: scan(text)?, next: 0, depth: 0 };
    let implicit_some = parser.header()?;
    let node = parser.value()?;
    match parser.take() {
        (_, Token::End) => Ok((node, implicit_some)),
        (at, token) => Err(Complaint::new(at, token.found(), "the end of the file")),
    }
}

struct Parser {
    tokens: Vec<(Position, Token)>,
    next: usize,
    depth: usize,
}

impl Parser {
    /// The current token; the list ends in [`Token::End`], which is never passed.
    fn peek(&self) -> &Token {
        &self.tokens[self.next].1
    }

    fn at(&self) -> Position {
        self.tokens[self.next].0
    }

    fn take(&mut self) -> (Position, Token) {
        let taken = self.tokens[self.next].clone();
        if taken.1 != Token::End {
            self.next += 1;
        }
        taken
    }

    fn expect(&mut self, c: char) -> Result<(), Complaint> {
        match self.take() {
            (_, Token::Punct(found)) if found == c => Ok(()),
            (at, token) => Err(Complaint::new(at, token.found(), format!("`{c}`"))),
        }
    }

    fn expect_word(&mut self, choices: &[&str]) -> Result<String, Complaint> {
        match self.take() {
            (_, Token::Word(word)) if choices.contains(&&*word) => Ok(word),
            (at, token) => Err(Complaint::new(at, token.found(), choices.join(" or "))),
        }
    }

    /// `#![enable(a, b)]`, any number of times.
    fn header(&mut self) -> Result<bool, Complaint> {
        let mut implicit_some = false;
        while *self.peek() == Token::Punct('#') {
            self.take();
            self.expect('!')?;
            self.expect('[')?;
            self.expect_word(&["enable"])?;
            self.expect('(')?;
            while *self.peek() != Token::Punct(')') {
                implicit_some |= self.expect_word(&EXTENSIONS)? == "implicit_some";
                if *self.peek() != Token::Punct(')') {
                    self.expect(',')?;
                }
            }
            self.expect(')')?;
            self.expect(']')?;
        }
        Ok(implicit_some)
    }

    fn value(&mut self) -> Result<Node, Complaint> {
        let (at, token) = self.take();
        self.depth += 1;
        if self.depth > DEPTH_MAX {
            return Err(Complaint::new(
                at,
                "brackets nested too deep",
                format!("at most {DEPTH_MAX} levels"),
            ));
        }
        let kind = match token {
            Token::Text(text) => Kind::Text(text),
            Token::Number(number) => Kind::Number(number),
            Token::Word(word) if *self.peek() == Token::Punct('(') => {
                self.take();
                self.body(Some(word))?
            }
            Token::Word(word) => Kind::Word(word),
            Token::Punct('(') => self.body(None)?,
            Token::Punct('{') => self.map()?,
            token => return Err(Complaint::new(at, token.found(), "a value")),
        };
        self.depth -= 1;
        Ok(Node { at, kind })
    }

    /// What stands after `(`.
    fn body(&mut self, name: Option<String>) -> Result<Kind, Complaint> {
        let named = matches!(self.peek(), Token::Word(_))
            && self.tokens.get(self.next + 1).is_some_and(|(_, t)| *t == Token::Punct(':'));
        let mut entries = Vec::new();
        let mut values = Vec::new();
        while *self.peek() != Token::Punct(')') {
            if named {
                let (at, key) = match self.take() {
                    (at, Token::Word(key)) => (at, key),
                    (at, token) => return Err(Complaint::new(at, token.found(), "a key")),
                };
                self.expect(':')?;
                entries.push(Entry { at, key, value: self.value()? });
            } else {
                values.push(self.value()?);
            }
            self.separator(')')?;
        }
        self.expect(')')?;
        Ok(if named { Kind::Record { name, entries } } else { Kind::Tuple { name, values } })
    }

    /// What stands after `{`.
    fn map(&mut self) -> Result<Kind, Complaint> {
        let mut entries = Vec::new();
        while *self.peek() != Token::Punct('}') {
            let key = self.value()?;
            self.expect(':')?;
            entries.push((key, self.value()?));
            self.separator('}')?;
        }
        self.expect('}')?;
        Ok(Kind::Map(entries))
    }

    fn separator(&mut self, close: char) -> Result<(), Complaint> {
        match self.peek() {
            Token::Punct(',') => {
                self.take();
                Ok(())
            }
            Token::Punct(c) if *c == close => Ok(()),
            token => {
                let expected = format!("`,` or `{close}`");
                Err(Complaint::new(self.at(), token.found(), expected))
            }
        }
    }
}
