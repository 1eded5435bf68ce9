//! Rules that need a whole operation to see.
//!
//! Most are Idol's; the ones on `idempotent` and on replies are this
//! project's: a client whose server died asks again only where that changes
//! nothing, and every operation has a way to say that its server died.

use crate::fields::Complaints;
use crate::model::{Interface, Operation, Recv, Reply, Typed};
use crate::types::find_ident;

/// First words of the names of operations that change something. Such an
/// operation, asked for twice, may do its work twice.
pub const CHANGING_VERBS: [&str; 67] = [
    "abort",
    "accept",
    "acknowledge",
    "acquire",
    "activate",
    "add",
    "allocate",
    "announce",
    "arm",
    "assign",
    "attach",
    "begin",
    "bind",
    "cancel",
    "claim",
    "clear",
    "close",
    "commit",
    "configure",
    "connect",
    "create",
    "deactivate",
    "delete",
    "destroy",
    "detach",
    "disable",
    "disarm",
    "disconnect",
    "drop",
    "enable",
    "end",
    "erase",
    "evaluate",
    "grant",
    "hold",
    "insert",
    "kick",
    "map",
    "notify",
    "open",
    "place",
    "play",
    "poll",
    "pull",
    "push",
    "quarantine",
    "register",
    "release",
    "remove",
    "reset",
    "restart",
    "resume",
    "revoke",
    "scrub",
    "send",
    "set",
    "start",
    "stop",
    "submit",
    "suspend",
    "take",
    "unbind",
    "unhold",
    "unmap",
    "unregister",
    "withdraw",
    "write",
];

/// Last words of type names that stand for something a server keeps for one
/// client: an answer that has been lost with its server cannot be had again,
/// and one of the old incarnation means nothing to the new one.
pub const OWNED_TYPES: [&str; 4] = ["Handle", "Ticket", "Grant", "Window"];

pub(crate) fn check(interface: &Interface, complaints: &mut Complaints) {
    for op in &interface.ops {
        check_names(op, complaints);
        check_leases(op, complaints);
        check_recv(op, complaints);
        check_idempotent(op, complaints);
        check_reply(op, complaints);
    }
}

/// Methods that every client has.
const CLIENT_METHODS: [&str; 2] = ["task_id", "refresh_task_id"];

fn check_names(op: &Operation, complaints: &mut Complaints) {
    if CLIENT_METHODS.contains(&&*op.name.text) {
        let message = format!("`{}` is a method that every client has", op.name.text);
        complaints.add(op.name.at, message, "another name");
    }
    for lease in &op.leases {
        if op.args.iter().any(|arg| arg.name.text == lease.name.text) {
            let message = format!("`{}` is an argument and a lease", lease.name.text);
            complaints.add(lease.name.at, message, "each name once in an operation");
        }
    }
}

fn check_leases(op: &Operation, complaints: &mut Complaints) {
    if op.leases.len() > usize::from(u8::MAX) {
        complaints.add(op.name.at, "too many leases", "at most 255, the kernel's limit");
    }
    for lease in &op.leases {
        if !lease.read && !lease.write {
            let message = format!("lease `{}` allows nothing", lease.name.text);
            complaints.add(lease.name.at, message, "`read: true`, `write: true` or both");
        }
        let slice = matches!(syn::parse_str(&lease.text), Ok(syn::Type::Slice(_)));
        if lease.max_len.is_some() && !slice {
            let message = format!("`max_len` of lease `{}`, which is no slice", lease.name.text);
            complaints.add(lease.name.at, message, "`max_len` with a type `[T]` only");
        }
    }
}

fn check_recv(op: &Operation, complaints: &mut Complaints) {
    for value in op.args.iter().map(|arg| &arg.value).chain([op.reply.value()]) {
        let other_than_byte = match &value.recv {
            Recv::FromBytes => false,
            Recv::FromPrimitive(raw) | Recv::From { raw, .. } => raw != "u8",
        };
        if value.text == "bool" && other_than_byte {
            complaints.add(
                value.at,
                "`bool` that travels as other than a byte",
                "`\"bool\"` alone",
            );
        }
        if value.text == "()" && value.recv != Recv::FromBytes {
            complaints.add(value.at, "`()` with `recv`", "`\"()\"` alone");
        }
    }
}

fn check_idempotent(op: &Operation, complaints: &mut Complaints) {
    let Some(at) = op.idempotent else { return };
    let word = op.name.text.split('_').next().unwrap_or_default();
    if CHANGING_VERBS.contains(&word) {
        let message = format!("`{}` is idempotent, but `{word}` changes something", op.name.text);
        complaints.add_of_project(
            at,
            message,
            "no `idempotent`, or a name that tells what is asked",
        );
    }
    let args = op.args.iter().map(|arg| (&arg.value.text, "takes"));
    let leases = op.leases.iter().map(|lease| (&lease.text, "lends"));
    let reply = [(&op.reply.value().text, "answers")];
    for (text, does) in args.chain(leases).chain(reply) {
        let owned = |ident: &str| OWNED_TYPES.iter().any(|suffix| ident.ends_with(suffix));
        if let Some(ident) = find_ident(text, owned) {
            let message = format!("`{}` is idempotent, but {does} a `{ident}`", op.name.text);
            let expected = "no `idempotent` where handles, tickets or grants travel";
            complaints.add_of_project(at, message, expected);
        }
    }
}

fn check_reply(op: &Operation, complaints: &mut Complaints) {
    let Reply::Simple(Typed { at, .. }) = op.reply else { return };
    if op.idempotent.is_none() {
        let message = format!("`{}` cannot say that its server died", op.name.text);
        complaints.add_of_project(at, message, "`Result(…)`, or `idempotent: true`");
    }
}
