//! A configuration blob, read as alternate settings with their endpoints.
//!
//! [`Config`] checks the header and fixes how far reading may go: the smaller
//! of what arrived and what `wTotalLength` says. [`Settings`] then walks the
//! blob once and yields each alternate setting with its corrected endpoints,
//! and each broken rule as an error value in between; an error never ends the
//! walk unless its [`Effect`](crate::Effect) is `Stopped`. Class-specific
//! descriptors are handed on uninterpreted.
//!
//! USB 2.0 section 9.6.3 to 9.6.6, USB 3.2 section 9.6.7.

use crate::endpoint::{Companion, Endpoint, address_index};
use crate::issue::{Issue, Rule};
use crate::list::List;
use crate::raw::{Chain, Raw, kind};
use crate::standard::{AlternateNumber, Association, Header, Interface, InterfaceNumber, is_super};
use usb_types::{EndpointAddress, Speed};

/// Most interfaces of a configuration. Composite devices have about ten; an
/// interface with a number from here on is reported and left out.
pub const MAX_INTERFACES: usize = 32;

/// Most alternate settings of one interface. Cameras, which have most, use
/// about a dozen; one with a number from here on is reported and left out.
pub const MAX_SETTINGS: usize = 64;

/// Most endpoints of one alternate setting: 15 numbers, two directions. More
/// cannot exist without two of one address.
pub const MAX_ENDPOINTS: usize = 30;

/// Most issues that one descriptor can cause, those due at the end of the
/// setting before it included.
const MAX_PENDING: usize = 8;

/// A configuration blob whose header has been checked.
#[derive(Copy, Clone, Debug)]
pub struct Config<'a> {
    header: Header,
    speed: Speed,
    bytes: &'a [u8],
    received: usize,
}

impl<'a> Config<'a> {
    /// Reads the header of `bytes`, the answer of a device that runs at
    /// `speed`, and finds that at least one interface can be read.
    ///
    /// # Errors
    /// What makes the whole configuration unusable.
    pub fn parse(bytes: &'a [u8], speed: Speed) -> Result<Self, Issue> {
        let header = Header::parse(bytes)?;
        let length = bytes.len().min(header.total.into());
        let config = Self {
            header,
            speed,
            bytes: bytes.get(..length).unwrap_or(&[]),
            received: bytes.len(),
        };
        if !config.settings().any(|setting| setting.is_ok()) {
            return Err(Issue::new(Rule::NoInterface, 0, header.interfaces.into()));
        }
        Ok(config)
    }

    /// The header.
    #[must_use]
    pub const fn header(&self) -> &Header {
        &self.header
    }

    /// The speed the corrections are made for.
    #[must_use]
    pub const fn speed(&self) -> Speed {
        self.speed
    }

    /// The alternate settings, and what is wrong between them.
    #[must_use]
    pub fn settings(&self) -> Settings<'a> {
        Settings::new(self)
    }

    /// One alternate setting.
    #[must_use]
    pub fn setting(
        &self,
        interface: InterfaceNumber,
        alternate: AlternateNumber,
    ) -> Option<Setting<'a>> {
        self.settings().filter_map(Result::ok).find(|setting| {
            setting.interface.number() == interface && setting.interface.alternate() == alternate
        })
    }

    /// The association that `interface` belongs to.
    #[must_use]
    pub fn association(&self, interface: InterfaceNumber) -> Option<Association> {
        Chain::new(self.bytes, 0)
            .filter_map(Result::ok)
            .filter_map(|raw| Association::parse(&raw).ok())
            .find(|association| association.contains(interface))
    }
}

/// The descriptors between one interface descriptor and the next.
#[derive(Copy, Clone, Debug)]
pub struct Body<'a> {
    bytes: &'a [u8],
    offset: usize,
}

impl<'a> Body<'a> {
    /// All of them, standard and class-specific. A broken one ends them;
    /// [`Settings`] has reported it.
    pub fn descriptors(&self) -> impl Iterator<Item = Raw<'a>> + use<'a> {
        Chain::new(self.bytes, self.offset).map_while(Result::ok)
    }

    /// The class-specific interface descriptors.
    pub fn class_descriptors(&self) -> impl Iterator<Item = Raw<'a>> + use<'a> {
        self.descriptors().filter(|raw| raw.kind() == kind::CLASS_INTERFACE)
    }
}

/// An alternate setting: the interface descriptor and what follows it.
#[derive(Copy, Clone, Debug)]
pub struct Setting<'a> {
    /// Its interface descriptor.
    pub interface: Interface,
    /// Where that descriptor starts.
    pub offset: usize,
    /// Its endpoints, corrected, in their order.
    pub endpoints: List<Endpoint, MAX_ENDPOINTS>,
    /// What follows the interface descriptor, endpoints included.
    pub body: Body<'a>,
}

/// Where the walk is relative to interfaces.
#[derive(Copy, Clone, Debug, PartialEq, Eq)]
enum Place {
    /// No interface was seen yet.
    Before,
    /// Behind an interface, taken or refused.
    Inside,
    /// Behind the last descriptor.
    After,
}

/// A setting whose descriptors are being read.
#[derive(Copy, Clone, Debug)]
struct Building<'a> {
    setting: Setting<'a>,
    /// The set of its endpoints, by [`address_index`].
    endpoints: u32,
    /// A SuperSpeed endpoint came last and its companion has not.
    companion_due: bool,
}

/// The alternate settings of a configuration, in their order. Issues about a
/// setting come before it.
#[derive(Clone, Debug)]
pub struct Settings<'a> {
    config: Config<'a>,
    chain: Chain<'a>,
    place: Place,
    building: Option<Building<'a>>,
    pending: List<Issue, MAX_PENDING>,
    reported: usize,
    ready: Option<Setting<'a>>,
    /// Per interface the set of alternate numbers seen.
    seen: [u64; MAX_INTERFACES],
    /// Per endpoint index the interface that had it first.
    owners: [Option<InterfaceNumber>; 32],
}

impl<'a> Settings<'a> {
    fn new(config: &Config<'a>) -> Self {
        let mut settings = Self {
            config: *config,
            chain: Chain::new(config.bytes, 0),
            place: Place::Before,
            building: None,
            pending: List::new(),
            reported: 0,
            ready: None,
            seen: [0; MAX_INTERFACES],
            owners: [None; 32],
        };
        let total = usize::from(config.header.total);
        if config.received < total {
            settings.report(Issue::new(Rule::TotalLengthShort, 0, config.received as u32));
        } else if config.received > total {
            settings.report(Issue::new(Rule::TotalLengthExcess, 0, config.received as u32));
        }
        settings
    }

    fn report(&mut self, issue: Issue) {
        // MAX_PENDING covers what one descriptor can cause, and the queue is
        // emptied before the next one is read.
        let _ = self.pending.push(issue);
    }

    /// Ends the setting being built, whose body ends at `end`.
    fn close(&mut self, end: usize) {
        let Some(Building { mut setting, companion_due, .. }) = self.building.take() else {
            return;
        };
        if companion_due {
            self.report(Issue::new(Rule::Companion, setting.offset, 0));
        }
        let claimed = usize::from(setting.interface.endpoints());
        if claimed != setting.endpoints.len() {
            let found = setting.endpoints.len() as u32;
            self.report(Issue::new(Rule::EndpointCount, setting.offset, found));
        }
        setting.body.bytes = self.config.bytes.get(setting.body.offset..end).unwrap_or(&[]);
        self.ready = Some(setting);
    }

    fn open(&mut self, raw: &Raw<'a>) {
        self.place = Place::Inside;
        let interface = match Interface::parse(raw) {
            Ok(interface) => interface,
            Err(issue) => return self.report(issue),
        };
        let InterfaceNumber(number) = interface.number();
        let AlternateNumber(alternate) = interface.alternate();
        let in_count = number < self.config.header.interfaces;
        let Some(seen) = self.seen.get_mut(usize::from(number)).filter(|_| in_count) else {
            return self.report(raw.issue(Rule::BadInterfaceNumber, number.into()));
        };
        if usize::from(alternate) >= MAX_SETTINGS {
            return self.report(raw.issue(Rule::BadAlternateSetting, alternate.into()));
        }
        if *seen & 1 << alternate != 0 {
            return self.report(raw.issue(Rule::DuplicateAlternate, alternate.into()));
        }
        *seen |= 1 << alternate;
        self.building = Some(Building {
            setting: Setting {
                interface,
                offset: raw.offset(),
                endpoints: List::new(),
                body: Body { bytes: &[], offset: raw.offset() + raw.bytes().len() },
            },
            endpoints: 0,
            companion_due: false,
        });
    }

    fn endpoint(&mut self, raw: &Raw<'a>) {
        let (endpoint, fixes) = match Endpoint::parse(raw, self.config.speed) {
            Ok(parsed) => parsed,
            Err(issue) => return self.report(issue),
        };
        let Some(Building { setting, endpoints, companion_due }) = &mut self.building else {
            return;
        };
        let missing = *companion_due;
        *companion_due = is_super(self.config.speed);
        let index = address_index(endpoint.address);
        let duplicate = *endpoints & 1 << index != 0;
        *endpoints |= 1 << index;
        let number = setting.interface.number();
        if !duplicate {
            // Distinct addresses only, of which there are MAX_ENDPOINTS.
            let _ = setting.endpoints.push(endpoint);
        } else {
            *companion_due = false;
        }
        if missing {
            self.report(raw.issue(Rule::Companion, 0));
        }
        fixes.iter().for_each(|&fix| self.report(fix));
        if duplicate {
            return self.report(raw.issue(Rule::DuplicateEndpoint, endpoint.address.0.into()));
        }
        self.claim(raw, endpoint.address, number);
    }

    /// Notes which interface an address belongs to.
    fn claim(&mut self, raw: &Raw<'a>, address: EndpointAddress, number: InterfaceNumber) {
        if let Some(owner) = self.owners.get_mut(address_index(address)) {
            match owner {
                Some(owner) if *owner != number => {
                    self.report(raw.issue(Rule::SharedEndpoint, address.0.into()));
                }
                owner => *owner = Some(number),
            }
        }
    }

    fn companion(&mut self, raw: &Raw<'a>) {
        let Some(Building { setting, companion_due, .. }) = &mut self.building else {
            return;
        };
        let due = core::mem::take(companion_due);
        match (Companion::parse(raw), setting.endpoints.as_mut_slice().last_mut()) {
            (Ok(companion), Some(endpoint)) if due => endpoint.companion = Some(companion),
            (Ok(_), _) => self.report(raw.issue(Rule::Companion, 1)),
            (Err(issue), _) => self.report(issue),
        }
    }

    /// Reads one descriptor, or finds that there is none left.
    fn step(&mut self) {
        match self.chain.next() {
            Some(Ok(raw)) => match raw.kind() {
                kind::INTERFACE => {
                    self.close(raw.offset());
                    self.open(&raw);
                }
                kind::ASSOCIATION => {
                    self.close(raw.offset());
                    if let Err(issue) = Association::parse(&raw) {
                        self.report(issue);
                    }
                }
                kind::ENDPOINT if self.place == Place::Before => {
                    self.report(raw.issue(Rule::EndpointOrphan, 0));
                }
                kind::ENDPOINT => self.endpoint(&raw),
                kind::COMPANION => self.companion(&raw),
                _ => {}
            },
            Some(Err(issue)) => {
                self.close(issue.offset);
                self.report(issue);
            }
            None => {
                self.close(self.config.bytes.len());
                self.place = Place::After;
                let found = self.seen.iter().filter(|&&alternates| alternates != 0).count();
                if found != usize::from(self.config.header.interfaces) {
                    self.report(Issue::new(Rule::InterfaceCount, 0, found as u32));
                }
            }
        }
    }
}

impl<'a> Iterator for Settings<'a> {
    type Item = Result<Setting<'a>, Issue>;

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            if let Some(&issue) = self.pending.get(self.reported) {
                self.reported += 1;
                return Some(Err(issue));
            }
            self.pending = List::new();
            self.reported = 0;
            if let Some(setting) = self.ready.take() {
                return Some(Ok(setting));
            }
            if self.place == Place::After {
                return None;
            }
            self.step();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEADER: [u8; 9] = [9, 2, 0, 0, 1, 1, 0, 0x80, 50];
    const INTERFACE: [u8; 9] = [9, 4, 0, 0, 0, 0xff, 0, 0, 0];

    /// A configuration of `interfaces` interfaces out of `parts`.
    fn blob(interfaces: u8, parts: &[&[u8]]) -> Vec<u8> {
        let mut blob = HEADER.to_vec();
        parts.iter().for_each(|part| blob.extend_from_slice(part));
        let total = (blob.len() as u16).to_le_bytes();
        blob[2..4].copy_from_slice(&total);
        blob[4] = interfaces;
        blob
    }

    fn rules(blob: &[u8], speed: Speed) -> Vec<(Rule, usize)> {
        let config = Config::parse(blob, speed).unwrap();
        let issues = config.settings().filter_map(Result::err);
        issues.map(|issue| (issue.rule, issue.offset)).collect()
    }

    fn interface(number: u8, alternate: u8, endpoints: u8) -> [u8; 9] {
        let mut bytes = INTERFACE;
        bytes[2..5].copy_from_slice(&[number, alternate, endpoints]);
        bytes
    }

    #[test]
    fn a_setting_has_its_endpoints_and_class_descriptors() {
        let blob = blob(
            1,
            &[
                &interface(0, 1, 2),
                &[3, 0x24, 9],
                &[7, 5, 1, 2, 64, 0, 0],
                &[7, 5, 0x81, 2, 64, 0, 0],
            ],
        );
        let config = Config::parse(&blob, Speed::Full).unwrap();
        let setting = config.setting(InterfaceNumber(0), AlternateNumber(1)).unwrap();
        let addresses: Vec<u8> = setting.endpoints.iter().map(|e| e.address.0).collect();
        assert_eq!(addresses, [1, 0x81]);
        let class: Vec<usize> = setting.body.class_descriptors().map(|raw| raw.offset()).collect();
        assert_eq!(class, [18]);
        assert!(rules(&blob, Speed::Full).is_empty());
    }

    /// A16: the second endpoint of one address in a setting is dropped.
    #[test]
    fn a_duplicate_endpoint_is_dropped_and_reported() {
        let endpoint = [7, 5, 1, 2, 64, 0, 0];
        let blob = blob(1, &[&interface(0, 0, 1), &endpoint, &endpoint]);
        assert_eq!(rules(&blob, Speed::Full), [(Rule::DuplicateEndpoint, 25)]);
    }

    #[test]
    fn an_endpoint_that_two_interfaces_have_is_reported_and_kept() {
        let endpoint = [7, 5, 1, 2, 64, 0, 0];
        let blob = blob(2, &[&interface(0, 0, 1), &endpoint, &interface(1, 0, 1), &endpoint]);
        assert_eq!(rules(&blob, Speed::Full), [(Rule::SharedEndpoint, 34)]);
        let config = Config::parse(&blob, Speed::Full).unwrap();
        let setting = config.setting(InterfaceNumber(1), AlternateNumber(0)).unwrap();
        assert_eq!(setting.endpoints.len(), 1);
    }

    #[test]
    fn an_alternate_setting_described_twice_counts_once() {
        let blob = blob(1, &[&interface(0, 0, 0), &interface(0, 0, 0)]);
        assert_eq!(rules(&blob, Speed::Full), [(Rule::DuplicateAlternate, 18)]);
    }

    #[test]
    fn interface_numbers_and_alternates_beyond_the_tables_are_left_out() {
        let blob = blob(33, &[&interface(0, 0, 0), &interface(32, 0, 0), &interface(0, 64, 0)]);
        assert_eq!(
            rules(&blob, Speed::Full),
            [
                (Rule::BadInterfaceNumber, 18),
                (Rule::BadAlternateSetting, 27),
                (Rule::InterfaceCount, 0)
            ]
        );
    }

    #[test]
    fn an_endpoint_before_any_interface_is_left_out() {
        let blob = blob(1, &[&[7, 5, 1, 2, 64, 0, 0], &interface(0, 0, 0)]);
        assert_eq!(rules(&blob, Speed::Full), [(Rule::EndpointOrphan, 9)]);
    }

    #[test]
    fn super_speed_wants_companions_and_high_speed_none() {
        let endpoint = [7, 5, 1, 2, 0, 4, 0];
        let companion = [6, 0x30, 3, 0, 0, 0];
        let good = blob(1, &[&interface(0, 0, 1), &endpoint, &companion]);
        assert!(rules(&good, Speed::Super).is_empty());
        let config = Config::parse(&good, Speed::Super).unwrap();
        let setting = config.setting(InterfaceNumber(0), AlternateNumber(0)).unwrap();
        assert_eq!(setting.endpoints[0].packets_per_interval(), 4);
        let bare = blob(1, &[&interface(0, 0, 1), &endpoint]);
        assert_eq!(rules(&bare, Speed::Super), [(Rule::Companion, 9)]);
        assert_eq!(rules(&good, Speed::High)[1].0, Rule::Companion);
    }

    #[test]
    fn a_configuration_without_an_interface_is_refused() {
        let blob = blob(1, &[&[3, 0x24, 1]]);
        assert_eq!(Config::parse(&blob, Speed::Full).unwrap_err().rule, Rule::NoInterface);
    }

    #[test]
    fn more_issues_than_one_descriptor_can_cause_never_queue_up() {
        // The worst descriptor: closes a setting with a missing companion and
        // a wrong count, or is an endpoint with every fault at once.
        let worst = [7, 5, 0xf1, 1, 0xff, 0xff, 0];
        let first = [7, 5, 0x01, 1, 0x00, 0x04, 1];
        let blob = blob(
            2,
            &[
                &interface(0, 0, 9),
                &[7, 5, 0x81, 1, 0, 4, 1],
                &interface(1, 0, 9),
                &first,
                &worst,
                &interface(1, 0, 0),
            ],
        );
        let found: Vec<Rule> =
            rules(&blob, Speed::Super).into_iter().map(|(rule, _)| rule).collect();
        assert_eq!(
            found,
            [
                Rule::Companion,
                Rule::EndpointCount,
                Rule::Companion,
                Rule::EndpointReservedBits,
                Rule::IntervalRange,
                Rule::PacketBits,
                Rule::PacketSize,
                Rule::SharedEndpoint,
                Rule::Companion,
                Rule::EndpointCount,
                Rule::DuplicateAlternate,
            ]
        );
    }
}
