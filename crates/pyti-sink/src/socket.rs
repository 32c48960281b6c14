//! The few calls on sockets that the standard library lacks.

use std::io;
use std::mem::{size_of, zeroed};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, SocketAddrV4, SocketAddrV6, TcpListener, UdpSocket};
use std::os::fd::{AsRawFd, OwnedFd};

use crate::record::canonical;

/// Room for one message about the address of a datagram, aligned as the kernel wants it.
type Control = [u64; 16];

/// Callers that may wait to be taken, at one port.
const QUEUE: i32 = 4096;

/// Bytes that the kernel keeps of each direction of a connection; it takes the double for its own housekeeping.
const KERNEL_BUFFER: i32 = 128 << 10;

/// Listens at every address, of both families where the machine has both.
pub(crate) fn listen(port: u16) -> io::Result<TcpListener> {
    let listener = TcpListener::bind((Ipv6Addr::UNSPECIFIED, port))
        .or_else(|_| TcpListener::bind((Ipv4Addr::UNSPECIFIED, port)))?;
    listener.set_nonblocking(true)?;
    // whoever is connected has it from here: the kernel would let a thousand of them take gigabytes of its memory
    set(&listener, libc::SOL_SOCKET, libc::SO_RCVBUF, &KERNEL_BUFFER)?;
    set(&listener, libc::SOL_SOCKET, libc::SO_SNDBUF, &KERNEL_BUFFER)?;
    // the usual queue of 128 overflows while this thread waits for a core, and whoever does not fit waits for a second
    // SAFETY: plain call on a socket that is open
    if unsafe { libc::listen(listener.as_raw_fd(), QUEUE) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(listener)
}

/// A socket for datagrams to every address, that tells which one was meant.
pub(crate) struct Datagrams {
    socket: UdpSocket,
    sixth: bool,
}

impl AsRawFd for Datagrams {
    fn as_raw_fd(&self) -> i32 {
        self.socket.as_raw_fd()
    }
}

impl Datagrams {
    pub(crate) fn bind(port: u16) -> io::Result<Self> {
        let sixth = UdpSocket::bind((Ipv6Addr::UNSPECIFIED, port));
        let (socket, sixth) = match sixth {
            Ok(socket) => (socket, true),
            Err(_) => (UdpSocket::bind((Ipv4Addr::UNSPECIFIED, port))?, false),
        };
        socket.set_nonblocking(true)?;
        let (level, option) = if sixth {
            (libc::IPPROTO_IPV6, libc::IPV6_RECVPKTINFO)
        } else {
            (libc::IPPROTO_IP, libc::IP_PKTINFO)
        };
        set(&socket, level, option, &1i32)?;
        Ok(Self { socket, sixth })
    }

    /// Takes one datagram: its length, whom it is from, and the address that it is for.
    pub(crate) fn receive(&self, buffer: &mut [u8]) -> io::Result<(usize, SocketAddr, IpAddr)> {
        let mut part = libc::iovec {
            iov_base: buffer.as_mut_ptr().cast(),
            iov_len: buffer.len(),
        };
        let mut control: Control = [0; 16];
        // SAFETY: all-zero is a valid value of both; every pointer and length below belongs to a value that lives
        // until the call is over, and the kernel says how much it wrote
        unsafe {
            let mut from: libc::sockaddr_storage = zeroed();
            let mut message: libc::msghdr = zeroed();
            message.msg_name = (&raw mut from).cast();
            message.msg_namelen = length_of::<libc::sockaddr_storage>();
            message.msg_iov = &raw mut part;
            message.msg_iovlen = 1;
            message.msg_control = control.as_mut_ptr().cast();
            message.msg_controllen = size_of::<Control>();
            let read = libc::recvmsg(self.socket.as_raw_fd(), &raw mut message, 0);
            let length = usize::try_from(read).map_err(|_| io::Error::last_os_error())?;
            let from = address(&from).ok_or_else(|| io::Error::other("a datagram from nowhere"))?;
            let mut to = None;
            let mut next = libc::CMSG_FIRSTHDR(&raw const message);
            while !next.is_null() {
                let header = next.read_unaligned();
                let data = libc::CMSG_DATA(next);
                match (header.cmsg_level, header.cmsg_type) {
                    (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => {
                        let info: libc::in6_pktinfo = data.cast::<libc::in6_pktinfo>().read_unaligned();
                        to = Some(IpAddr::from(info.ipi6_addr.s6_addr).to_canonical());
                    }
                    (libc::IPPROTO_IP, libc::IP_PKTINFO) => {
                        let info: libc::in_pktinfo = data.cast::<libc::in_pktinfo>().read_unaligned();
                        to = Some(IpAddr::from(info.ipi_addr.s_addr.to_ne_bytes()));
                    }
                    _ => {}
                }
                next = libc::CMSG_NXTHDR(&raw const message, next);
            }
            let to = to.ok_or_else(|| io::Error::other("a datagram for nobody"))?;
            Ok((length, from, to))
        }
    }

    /// Answers from the address that was meant.
    pub(crate) fn send(&self, bytes: &[u8], to: SocketAddr, from: IpAddr) -> io::Result<()> {
        let mut part = libc::iovec {
            iov_base: bytes.as_ptr().cast_mut().cast(),
            iov_len: bytes.len(),
        };
        let mut control: Control = [0; 16];
        // SAFETY: as above; the control buffer is bigger than either message, and the kernel only reads
        unsafe {
            let (mut name, length) = self.name(to);
            let mut message: libc::msghdr = zeroed();
            message.msg_name = (&raw mut name).cast();
            message.msg_namelen = length;
            message.msg_iov = &raw mut part;
            message.msg_iovlen = 1;
            message.msg_control = control.as_mut_ptr().cast();
            message.msg_controllen = size_of::<Control>();
            let header = libc::CMSG_FIRSTHDR(&raw const message);
            let size = if self.sixth {
                let mut info: libc::in6_pktinfo = zeroed();
                info.ipi6_addr.s6_addr = mapped(from).octets();
                (*header).cmsg_level = libc::IPPROTO_IPV6;
                (*header).cmsg_type = libc::IPV6_PKTINFO;
                libc::CMSG_DATA(header)
                    .cast::<libc::in6_pktinfo>()
                    .write_unaligned(info);
                length_of::<libc::in6_pktinfo>()
            } else {
                let mut info: libc::in_pktinfo = zeroed();
                if let IpAddr::V4(v4) = from {
                    info.ipi_spec_dst.s_addr = u32::from_ne_bytes(v4.octets());
                }
                (*header).cmsg_level = libc::IPPROTO_IP;
                (*header).cmsg_type = libc::IP_PKTINFO;
                libc::CMSG_DATA(header)
                    .cast::<libc::in_pktinfo>()
                    .write_unaligned(info);
                length_of::<libc::in_pktinfo>()
            };
            (*header).cmsg_len = libc::CMSG_LEN(size) as usize;
            message.msg_controllen = libc::CMSG_SPACE(size) as usize;
            if libc::sendmsg(self.socket.as_raw_fd(), &raw const message, libc::MSG_NOSIGNAL) == -1 {
                return Err(io::Error::last_os_error());
            }
        }
        Ok(())
    }

    fn name(&self, to: SocketAddr) -> (libc::sockaddr_storage, libc::socklen_t) {
        // SAFETY: all-zero is a valid value, and it has room for either kind of address
        unsafe {
            let mut storage: libc::sockaddr_storage = zeroed();
            if self.sixth {
                let name = &mut *(&raw mut storage).cast::<libc::sockaddr_in6>();
                name.sin6_family = libc::sa_family_t::try_from(libc::AF_INET6).unwrap_or(0);
                name.sin6_port = to.port().to_be();
                name.sin6_addr.s6_addr = mapped(to.ip()).octets();
                if let SocketAddr::V6(v6) = to {
                    name.sin6_scope_id = v6.scope_id();
                }
                (storage, length_of::<libc::sockaddr_in6>())
            } else {
                let name = &mut *(&raw mut storage).cast::<libc::sockaddr_in>();
                name.sin_family = libc::sa_family_t::try_from(libc::AF_INET).unwrap_or(0);
                name.sin_port = to.port().to_be();
                if let IpAddr::V4(v4) = to.ip() {
                    name.sin_addr.s_addr = u32::from_ne_bytes(v4.octets());
                }
                (storage, length_of::<libc::sockaddr_in>())
            }
        }
    }
}

/// The address of a socket's own end; `None` while it has none.
pub(crate) fn local(socket: &OwnedFd) -> Option<SocketAddr> {
    // SAFETY: all-zero is a valid value, and the kernel writes no more than it is told there is room for
    unsafe {
        let mut storage: libc::sockaddr_storage = zeroed();
        let mut length = length_of::<libc::sockaddr_storage>();
        let done = libc::getsockname(socket.as_raw_fd(), (&raw mut storage).cast(), &raw mut length);
        let own = address(&storage).filter(|_| done == 0)?;
        Some(canonical(own)).filter(|own| own.port() != 0)
    }
}

fn length_of<T>() -> libc::socklen_t {
    libc::socklen_t::try_from(size_of::<T>()).unwrap_or(0)
}

fn mapped(address: IpAddr) -> Ipv6Addr {
    match address {
        IpAddr::V4(v4) => v4.to_ipv6_mapped(),
        IpAddr::V6(v6) => v6,
    }
}

/// Reads an address that the kernel wrote.
fn address(storage: &libc::sockaddr_storage) -> Option<SocketAddr> {
    // SAFETY: the family tells which of the two it is, and the storage is big enough and aligned for both
    unsafe {
        match i32::from(storage.ss_family) {
            libc::AF_INET => {
                let name = &*(&raw const *storage).cast::<libc::sockaddr_in>();
                let ip = Ipv4Addr::from(name.sin_addr.s_addr.to_ne_bytes());
                Some(SocketAddrV4::new(ip, u16::from_be(name.sin_port)).into())
            }
            libc::AF_INET6 => {
                let name = &*(&raw const *storage).cast::<libc::sockaddr_in6>();
                let ip = Ipv6Addr::from(name.sin6_addr.s6_addr);
                let full = SocketAddrV6::new(ip, u16::from_be(name.sin6_port), 0, name.sin6_scope_id);
                Some(canonical(full.into()))
            }
            _ => None,
        }
    }
}

fn set<T>(socket: &impl AsRawFd, level: i32, option: i32, value: &T) -> io::Result<()> {
    // SAFETY: the value lives, and its size is what it is said to be
    let done = unsafe {
        libc::setsockopt(
            socket.as_raw_fd(),
            level,
            option,
            (&raw const *value).cast(),
            length_of::<T>(),
        )
    };
    if done == 0 {
        Ok(())
    } else {
        Err(io::Error::last_os_error())
    }
}

/// The connection ends with a reset when it is dropped.
pub(crate) fn reset_at_close(socket: &impl AsRawFd) {
    let linger = libc::linger {
        l_onoff: 1,
        l_linger: 0,
    };
    // where it does not work, it ends politely
    let _ = set(socket, libc::SOL_SOCKET, libc::SO_LINGER, &linger);
}

/// A counter that can be waited for.
pub(crate) fn event() -> io::Result<OwnedFd> {
    let flags = rustix::event::EventfdFlags::CLOEXEC | rustix::event::EventfdFlags::NONBLOCK;
    Ok(rustix::event::eventfd(0, flags)?)
}

#[cfg(test)]
#[expect(
    clippy::print_stderr,
    reason = "a skipped test says so where a person reads it"
)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_is_answered_from_the_address_that_was_meant() {
        let sink = Datagrams::bind(0).unwrap();
        let port = sink.socket.local_addr().unwrap().port();
        for meant in ["127.0.0.7", "::1"] {
            let meant: IpAddr = meant.parse().unwrap();
            let here: IpAddr = if meant.is_ipv4() { "127.0.0.1" } else { "::1" }.parse().unwrap();
            let Ok(client) = UdpSocket::bind((here, 0)) else {
                eprintln!("SKIPPED: this machine has no {here}");
                continue;
            };
            client.connect((meant, port)).unwrap();
            client.send(b"hello").unwrap();
            let mut buffer = [0; 16];
            let mut read = sink.receive(&mut buffer);
            for _ in 0..100 {
                if read.is_ok() {
                    break;
                }
                std::thread::sleep(std::time::Duration::from_millis(5));
                read = sink.receive(&mut buffer);
            }
            let (length, from, to) = read.unwrap();
            assert_eq!((&buffer[..length], to), (&b"hello"[..], meant));
            sink.send(b"back", from, to).unwrap();
            // a connected socket takes answers from its partner only
            client
                .set_read_timeout(Some(std::time::Duration::from_secs(2)))
                .unwrap();
            assert_eq!(client.recv(&mut buffer).unwrap(), 4);
        }
    }
}
