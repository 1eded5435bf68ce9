//! Ports, services and clients: QRTR as one node with one neighbour speaks it.
//!
//! Pure: frames come in and are asked for, news is kept per client, and who is
//! to be hinted is marked. The neighbour's frames are hostile: each is checked,
//! may speak for its own node only, and what has no place is dropped and
//! counted. A client that does not pull loses datagrams, never the others'; if
//! even its control news has no place, it is told that the node is gone, which
//! ends its dealings with the DSP in good order, and starts afresh.
//!
//! Not here: memory and bells (`ring`), IPC (`lib`).

use abi::TaskId;
use dsp_abi::mailbox::{APP_NODE, DATAGRAM, DSP_NODE};
use dsp_link_api::{Address, DspLinkError, Event, MAX_PAYLOAD, Status};
use fifo::Fifo;
use qmi::qrtr::{self, BROADCAST, CONTROL_PORT, Control, Frame, FrameKind, Node, Port, Server};
use scarce::{Scarce, spent};

/// Tasks that can use the link: the broker, and whoever debugs it.
const CLIENTS: usize = 4;
/// Ports of all clients together. More is refused with `NoPorts`.
const PORTS: usize = 8;
/// Services of the neighbour that are remembered; it offers one or two. More
/// are dropped and counted.
const SERVERS: usize = 8;
/// Datagrams that wait for all clients together.
const BUFFERS: usize = 16;
/// Datagrams that wait for one client: one mailbox full.
const BUFFERS_EACH: usize = 7;
/// News that waits for one client: its datagrams, and every service coming and
/// going in between.
const NEWS: usize = 24;
/// Ports of a client's life count up from here, and are not soon reused. Above
/// them stands whose they are, life included: a service that another life offers
/// is at another address, even if nobody was there to say that the old one is
/// gone; and one that the same life offers again, over a link that began anew, is
/// at the address that the DSP knows.
const FIRST_PORT: u32 = 0x4000;
const LAST_PORT: u32 = 0xFFFF;
const OWNER_SHIFT: u32 = 16;

const HERE: Node = Node(APP_NODE);
const THERE: Node = Node(DSP_NODE);

/// Where a service of ours is in its life.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Life {
    /// The neighbour has to be told of it.
    Unannounced,
    /// The neighbour knows it.
    Announced,
    /// The neighbour has to be told that it is gone.
    Withdrawn,
}

#[derive(Debug)]
struct Socket {
    owner: TaskId,
    port: u32,
    service: u32,
    instance: u32,
    life: Life,
    /// Who waits for RESUME_TX after confirmed data was taken from here.
    resume: Option<qrtr::Address>,
}

/// A piece of news, datagrams by buffer.
#[derive(Copy, Clone, Debug)]
enum News {
    Event(Event),
    Datagram { from: qrtr::Address, port: u32, buffer: usize, confirm: bool },
}

#[derive(Debug)]
struct Client {
    task: TaskId,
    /// What its next port counts as.
    next_port: u32,
    news: Fifo<News, NEWS>,
    buffers: usize,
    /// Its last send found the mailbox full.
    wants_room: bool,
    hint: bool,
}

#[derive(Debug)]
struct Buffer {
    used: bool,
    len: usize,
    bytes: [u8; MAX_PAYLOAD],
}

/// The state of the node.
#[derive(Debug)]
pub struct Router {
    up: bool,
    hello_sent: bool,
    sockets: [Option<Socket>; PORTS],
    servers: [Option<Server>; SERVERS],
    clients: [Option<Client>; CLIENTS],
    buffers: [Buffer; BUFFERS],
    /// Who asked for a listing of our services and waits for its end.
    lookup: Option<qrtr::Address>,
    status: Status,
}

impl Default for Router {
    fn default() -> Self {
        Self::new()
    }
}

impl Router {
    /// A node with no port, cut off.
    #[must_use]
    pub fn new() -> Self {
        Self {
            up: false,
            hello_sent: false,
            sockets: core::array::from_fn(|_| None),
            servers: core::array::from_fn(|_| None),
            clients: core::array::from_fn(|_| None),
            buffers: [const { Buffer { used: false, len: 0, bytes: [0; MAX_PAYLOAD] } }; BUFFERS],
            lookup: None,
            status: Status { up: false, sent: 0, received: 0, dropped: 0 },
        }
    }

    /// What went through.
    #[must_use]
    pub fn status(&self) -> Status {
        Status { up: self.up, ..self.status }
    }

    /// The neighbour can be reached.
    pub fn link_up(&mut self) {
        self.up = true;
    }

    /// The neighbour can no longer be reached, or begins anew.
    pub fn link_lost(&mut self) {
        self.up = false;
        self.hello_sent = false;
        self.lookup = None;
        for socket in &mut self.sockets {
            match socket {
                Some(Socket { life: Life::Withdrawn, .. }) => *socket = None,
                Some(socket) => {
                    socket.life = Life::Unannounced;
                    socket.resume = None;
                }
                None => {}
            }
        }
        self.node_gone();
    }

    /// Counts what the mailbox itself dropped.
    pub fn count_dropped(&mut self) {
        self.status.dropped = self.status.dropped.wrapping_add(1);
    }

    // ---- what clients ask ----

    /// A port for `owner`'s service.
    ///
    /// # Errors
    /// [`DspLinkError::NoPorts`].
    pub fn publish(
        &mut self,
        owner: TaskId,
        service: u32,
        instance: u32,
    ) -> Result<u32, DspLinkError> {
        // What an earlier life of the owner had is free from here on.
        self.client(owner).ok_or(DspLinkError::NoPorts)?;
        let free = self.sockets.iter().position(Option::is_none).filter(|_| !spent(Scarce::Place));
        let free = free.ok_or(DspLinkError::NoPorts)?;
        let client = self.client(owner).ok_or(DspLinkError::NoPorts)?;
        let number = client.next_port;
        client.next_port = if number == LAST_PORT { FIRST_PORT } else { number + 1 };
        let port = u32::from(owner.0) << OWNER_SHIFT | number;
        let life = Life::Unannounced;
        self.sockets[free] = Some(Socket { owner, port, service, instance, life, resume: None });
        Ok(port)
    }

    /// Takes a port back.
    ///
    /// # Errors
    /// [`DspLinkError::NotPortOwner`].
    pub fn withdraw(&mut self, owner: TaskId, port: u32) -> Result<(), DspLinkError> {
        self.socket(owner, port)?;
        self.close(|socket| socket.port == port);
        Ok(())
    }

    /// The frame that carries `owner`'s datagram.
    ///
    /// # Errors
    /// [`DspLinkError::NotPortOwner`], [`DspLinkError::NoNode`],
    /// [`DspLinkError::Down`].
    pub fn outgoing(&self, owner: TaskId, port: u32, to: Address) -> Result<Frame, DspLinkError> {
        self.socket(owner, port)?;
        if to.node != DSP_NODE {
            return Err(DspLinkError::NoNode);
        }
        if !self.up {
            return Err(DspLinkError::Down);
        }
        Ok(Frame {
            kind: FrameKind::Data,
            from: qrtr::Address { node: HERE, port: Port(port) },
            to: qrtr::Address { node: THERE, port: Port(to.port) },
            confirm: false,
        })
    }

    /// A client's datagram went into the mailbox.
    pub fn sent(&mut self) {
        self.status.sent = self.status.sent.wrapping_add(1);
    }

    /// A client's datagram found the mailbox full.
    pub fn refused_full(&mut self, owner: TaskId) {
        if let Some(client) = self.client(owner) {
            client.wants_room = true;
        }
    }

    /// The mailbox has room: who waited for it is told.
    pub fn room(&mut self) {
        for client in self.clients.iter_mut().flatten() {
            if client.wants_room && client.push(News::Event(Event::Room)) {
                client.wants_room = false;
            }
        }
    }

    /// The next piece of news for `task`; a datagram's bytes go to `copy`,
    /// which says whether it had room for them.
    ///
    /// # Errors
    /// [`DspLinkError::Truncated`] when it had not; [`DspLinkError::NoPorts`]
    /// when there are too many clients.
    pub fn pull(
        &mut self,
        task: TaskId,
        copy: impl FnOnce(&[u8]) -> bool,
    ) -> Result<Event, DspLinkError> {
        let client = self.client(task).ok_or(DspLinkError::NoPorts)?;
        let (from, port, buffer, confirm) = match client.news.pop() {
            None => return Ok(Event::None),
            Some(News::Event(event)) => return Ok(event),
            Some(News::Datagram { from, port, buffer, confirm }) => (from, port, buffer, confirm),
        };
        client.buffers -= 1;
        let place = &mut self.buffers[buffer];
        place.used = false;
        let bytes = &place.bytes[..place.len];
        // A datagram is not longer than MAX_PAYLOAD.
        let length = bytes.len() as u16;
        let copied = copy(bytes);
        if confirm && let Some(socket) = self.sockets.iter_mut().flatten().find(|s| s.port == port)
        {
            socket.resume = Some(from);
        }
        if !copied {
            self.count_dropped();
            return Err(DspLinkError::Truncated);
        }
        self.status.received = self.status.received.wrapping_add(1);
        Ok(Event::Datagram { from: address(from), port, length })
    }

    /// Clients that have news they were not yet hinted of.
    pub fn take_hints(&mut self) -> impl Iterator<Item = TaskId> {
        self.clients
            .iter_mut()
            .flatten()
            .filter_map(|client| core::mem::take(&mut client.hint).then_some(client.task))
    }

    /// An incarnation is gone, and what was its own with it.
    pub fn client_died(&mut self, task: TaskId) {
        for place in &mut self.clients {
            if place.as_ref().is_some_and(|client| client.task == task) {
                let mut client = place.take();
                while let Some(news) = client.as_mut().and_then(|client| client.news.pop()) {
                    release(&mut self.buffers, news);
                }
            }
        }
        self.close(|socket| socket.owner == task);
    }

    // ---- what the neighbour sends ----

    /// Takes one frame in.
    pub fn incoming(&mut self, bytes: &[u8]) {
        if self.accept(bytes).is_none() {
            self.count_dropped();
        }
    }

    /// `None` when the frame is dropped.
    fn accept(&mut self, bytes: &[u8]) -> Option<()> {
        let (frame, payload) = Frame::decode(bytes).ok()?;
        // There is one neighbour, and it forwards for nobody.
        if frame.from.node != THERE || (frame.to.node != HERE && frame.to.node != BROADCAST) {
            return None;
        }
        if frame.kind == FrameKind::Data {
            return self.data(&frame, payload);
        }
        match Control::decode(frame.kind, payload).ok()? {
            Control::Hello => self.announce_again(|_| true),
            Control::Bye(node) if node == THERE => self.node_gone(),
            Control::NewServer(server) if server.at.node == THERE && server.service != 0 => {
                self.server_up(server)?;
            }
            Control::DelServer(server) if server.at.node == THERE => self.server_down(server)?,
            Control::DelClient(client) if client.node == THERE => self.client_gone(client),
            Control::NewLookup(wanted) => {
                self.announce_again(|socket| {
                    matches(wanted.service, socket.service)
                        && matches(wanted.instance, socket.instance)
                });
                self.lookup = Some(frame.from);
            }
            // Nothing of ours waits for confirmation, listings are not kept up
            // after they were given, and a ping is answered by being here.
            Control::ResumeTx(_) | Control::DelLookup(_) | Control::Ping => {}
            Control::Bye(_)
            | Control::NewServer(_)
            | Control::DelServer(_)
            | Control::DelClient(_)
            | Control::Exit => return None,
        }
        Some(())
    }

    fn data(&mut self, frame: &Frame, payload: &[u8]) -> Option<()> {
        let port = frame.to.port.0;
        let socket = self
            .sockets
            .iter()
            .flatten()
            .find(|socket| socket.port == port && socket.life != Life::Withdrawn)?;
        let client =
            self.clients.iter_mut().flatten().find(|client| client.task == socket.owner)?;
        if client.buffers == BUFFERS_EACH || payload.len() > MAX_PAYLOAD {
            return None;
        }
        let buffer = self.buffers.iter().position(|buffer| !buffer.used)?;
        let news = News::Datagram { from: frame.from, port, buffer, confirm: frame.confirm };
        if !client.push(news) {
            return None;
        }
        client.buffers += 1;
        let place = &mut self.buffers[buffer];
        place.used = true;
        place.len = payload.len();
        place.bytes[..payload.len()].copy_from_slice(payload);
        Some(())
    }

    fn server_up(&mut self, server: Server) -> Option<()> {
        if self.servers.iter().flatten().any(|known| *known == server) {
            return Some(());
        }
        *self.servers.iter_mut().find(|place| place.is_none())? = Some(server);
        self.tell(Event::ServerUp {
            service: server.service,
            instance: server.instance,
            at: address(server.at),
        });
        Some(())
    }

    fn server_down(&mut self, server: Server) -> Option<()> {
        let place = self.servers.iter_mut().find(|place| {
            place.is_some_and(|known| known.service == server.service && known.at == server.at)
        })?;
        *place = None;
        self.tell(Event::ServerDown { service: server.service, at: address(server.at) });
        Some(())
    }

    fn client_gone(&mut self, gone: qrtr::Address) {
        while let Some(place) =
            self.servers.iter_mut().find(|place| place.is_some_and(|known| known.at == gone))
        {
            let service = place.take().map_or(0, |known| known.service);
            self.tell(Event::ServerDown { service, at: address(gone) });
        }
        self.tell(Event::ClientGone(address(gone)));
    }

    fn node_gone(&mut self) {
        self.servers = core::array::from_fn(|_| None);
        self.tell(Event::NodeGone { node: DSP_NODE });
    }

    fn announce_again(&mut self, which: impl Fn(&Socket) -> bool) {
        for socket in self.sockets.iter_mut().flatten() {
            if socket.life == Life::Announced && which(socket) {
                socket.life = Life::Unannounced;
            }
        }
    }

    /// Puts news into every client's queue. Who has no place for it is told
    /// instead that the node is gone, and what is there now.
    fn tell(&mut self, event: Event) {
        for client in self.clients.iter_mut().flatten() {
            if client.push(News::Event(event)) {
                continue;
            }
            while let Some(news) = client.news.pop() {
                release(&mut self.buffers, news);
            }
            client.buffers = 0;
            client.push(News::Event(Event::NodeGone { node: DSP_NODE }));
            client.replay(&self.servers);
        }
    }

    // ---- what the neighbour must be told ----

    /// The next frame that this node owes its neighbour; to be asked while the
    /// mailbox has room.
    pub fn next_control(&mut self, into: &mut [u8; DATAGRAM]) -> Option<usize> {
        if !self.up {
            return None;
        }
        let (control, to) = self.next_debt()?;
        let frame =
            Frame { kind: control.kind(), from: qrtr::Address::control(HERE), to, confirm: false };
        let len = frame.encode(&control.encode(), into);
        Some(len.expect("a control frame has 52 bytes, a datagram 504"))
    }

    fn next_debt(&mut self) -> Option<(Control, qrtr::Address)> {
        let everyone = qrtr::Address { node: BROADCAST, port: CONTROL_PORT };
        let neighbour = qrtr::Address::control(THERE);
        if !core::mem::replace(&mut self.hello_sent, true) {
            return Some((Control::Hello, neighbour));
        }
        for place in &mut self.sockets {
            let Some(socket) = place else { continue };
            let at = qrtr::Address { node: HERE, port: Port(socket.port) };
            let server = Server { service: socket.service, instance: socket.instance, at };
            match socket.life {
                Life::Unannounced => {
                    socket.life = Life::Announced;
                    return Some((Control::NewServer(server), everyone));
                }
                Life::Withdrawn => {
                    *place = None;
                    return Some((Control::DelServer(server), everyone));
                }
                Life::Announced => {}
            }
            if let Some(waiting) = socket.resume.take() {
                return Some((Control::ResumeTx(at), qrtr::Address::control(waiting.node)));
            }
        }
        let asker = self.lookup.take()?;
        Some((Control::NewServer(Server::default()), asker))
    }

    // ---- tables ----

    fn socket(&self, owner: TaskId, port: u32) -> Result<&Socket, DspLinkError> {
        self.sockets
            .iter()
            .flatten()
            .find(|s| s.port == port && s.owner == owner && s.life != Life::Withdrawn)
            .ok_or(DspLinkError::NotPortOwner)
    }

    /// Closes sockets; who was told of one is told that it is gone.
    fn close(&mut self, which: impl Fn(&Socket) -> bool) {
        for place in &mut self.sockets {
            match place {
                Some(socket) if which(socket) => match socket.life {
                    Life::Unannounced => *place = None,
                    Life::Announced | Life::Withdrawn => {
                        socket.life = Life::Withdrawn;
                        socket.resume = None;
                    }
                },
                _ => {}
            }
        }
    }

    /// The client `task`, taken in if it is new: it learns what is there.
    fn client(&mut self, task: TaskId) -> Option<&mut Client> {
        let known = |client: &Option<Client>| client.as_ref().is_some_and(|c| c.task == task);
        let index = match self.clients.iter().position(known) {
            Some(index) => index,
            None => {
                let former = self
                    .clients
                    .iter()
                    .flatten()
                    .map(|client| client.task)
                    .find(|former| former.index() == task.index());
                if let Some(former) = former {
                    self.client_died(former);
                }
                let index = self.clients.iter().position(Option::is_none)?;
                let mut client = Client {
                    task,
                    next_port: FIRST_PORT,
                    news: Fifo::new(),
                    buffers: 0,
                    wants_room: false,
                    hint: false,
                };
                client.replay(&self.servers);
                self.clients[index] = Some(client);
                index
            }
        };
        self.clients[index].as_mut()
    }
}

impl Client {
    /// Adds news; `false` when there is no place for it.
    fn push(&mut self, news: News) -> bool {
        let pushed = self.news.push(news).is_ok();
        self.hint |= pushed;
        pushed
    }

    /// Tells of the services that are there; the queue has room for them.
    fn replay(&mut self, servers: &[Option<Server>]) {
        const { assert!(SERVERS < NEWS, "a fresh queue holds every service and NodeGone") };
        for server in servers.iter().flatten() {
            self.push(News::Event(Event::ServerUp {
                service: server.service,
                instance: server.instance,
                at: address(server.at),
            }));
        }
    }
}

fn release(buffers: &mut [Buffer], news: News) {
    if let News::Datagram { buffer, .. } = news {
        buffers[buffer].used = false;
    }
}

/// Whether a lookup's field, 0 for any, asks for `have`.
const fn matches(wanted: u32, have: u32) -> bool {
    wanted == 0 || wanted == have
}

fn address(at: qrtr::Address) -> Address {
    Address { node: at.node.0, port: at.port.0 }
}
