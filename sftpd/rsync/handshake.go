package rsync

import (
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"strings"
)

// Versions of the protocol. 31 and 32 are the same on the wire.
const (
	newest      = 32
	oldest      = 27
	oldestThere = 20 // what a version number of rsync can be
	newestThere = 40
)

// Compatibility flags, announced by the server of protocol 30 and newer.
const (
	compatSymlinkTimes = 1 << 1
	compatSafeList     = 1 << 3
	compatAvoidXattr   = 1 << 4
	compatSeedFix      = 1 << 5
	compatVarint       = 1 << 7
	compatIDZero       = 1 << 8
)

// Names that are offered, best first. MD4 is left out where another can be had: builds of rsync differ in where its seed goes.
var (
	offeredSums   = "xxh128 xxh3 xxh64 md5 sha1 none"
	offeredCodecs = "zstd lz4 zlibx zlib none"
)

// shake agrees with the client on version, flags, algorithms and seed.
func (s *session) shake() error {
	s.w.int(newest)
	if err := s.w.flush(); err != nil {
		return err
	}
	theirs := s.r.int()
	if s.r.err != nil {
		return s.r.err
	}
	if theirs < oldestThere || theirs > newestThere {
		return &refusal{"what came is not rsync: is something printed at sign-in?", ExitProtocol}
	}
	if theirs < oldest {
		return &refusal{fmt.Sprintf("protocol version %d is too old: use rsync 2.6.0 or newer", theirs), ExitProtocol}
	}
	s.proto = min(int(theirs), newest)
	s.r.proto, s.w.proto = s.proto, s.proto
	if s.proto >= 30 {
		s.compat = s.compatFlags()
		s.w.bytes(appendVarint(nil, s.compat))
	}
	if err := s.negotiate(); err != nil {
		return err
	}
	s.seed = s.o.checksumSeed
	switch {
	case s.Server.seed != nil:
		s.seed = s.Server.seed()
	case !s.o.hasSeed:
		var b [4]byte
		_, _ = rand.Read(b[:])
		s.seed = int32(binary.LittleEndian.Uint32(b[:])&0x3fffffff) | 1
	}
	s.w.int(s.seed)
	s.w.start()
	s.r.mux = s.proto >= 30
	s.r.message = s.fromClient
	return s.w.failed()
}

// compatFlags leaves incremental lists out: with the whole list at hand, a client that has everything asks for nothing.
func (s *session) compatFlags() int32 {
	flags := int32(compatSymlinkTimes)
	for _, c := range s.o.caps {
		switch c {
		case 'f':
			flags |= compatSafeList
		case 'x':
			flags |= compatAvoidXattr
		case 'C':
			flags |= compatSeedFix
		case 'v':
			flags |= compatVarint
		case 'u':
			flags |= compatIDZero
		}
	}
	return flags
}

// negotiate chooses checksums and compression: the first name of the client that the server offered.
func (s *session) negotiate() error {
	both := s.compat&compatVarint != 0
	askSum, askCodec := both && s.o.checksumChoice == "", both && s.o.compress && s.o.compressChoice == ""
	sums := s.sumOffer()
	if askSum {
		s.w.bytes(appendVstring(nil, sums))
	}
	if askCodec {
		s.w.bytes(appendVstring(nil, offeredCodecs))
	}
	if err := s.w.flush(); err != nil {
		return err
	}
	sum, codec := s.o.checksumChoice, s.o.compressChoice
	if askSum {
		sum = choose(s.r.vstring(255), sums)
	}
	if askCodec {
		codec = choose(s.r.vstring(255), offeredCodecs)
	}
	if s.r.err != nil {
		return s.r.err
	}
	switch {
	case sum == "" && both:
		return &refusal{"no checksum that both sides know: " + sums + " are known here", ExitUnsupported}
	case sum == "" && s.proto >= 30:
		s.sum = md5Old
		if s.compat&compatSeedFix != 0 {
			s.sum = findAlgorithm("md5")
		}
		s.listSum = s.sum
	case sum == "":
		s.sum, s.listSum = md4Old, findAlgorithm("md4")
	default:
		first, second, has := strings.Cut(sum, ",")
		if !has {
			second = first
		}
		s.sum, s.listSum = s.named(first), s.named(second)
		if s.sum == nil || s.listSum == nil {
			return &refusal{fmt.Sprintf("checksum %q is not known here: use one of %s", clip(sum), offeredSums), ExitUnsupported}
		}
	}
	if s.o.compress && codec == "" {
		if codec = "zlib"; both {
			return &refusal{"no compression that both sides know: " + offeredCodecs + " are known here", ExitUnsupported}
		}
	}
	return s.setCodec(strings.ToLower(codec))
}

// named finds the algorithm of --checksum-choice.
func (s *session) named(name string) *algorithm {
	a := findAlgorithm(name)
	switch {
	case strings.EqualFold(name, "auto"):
		return s.named("md5")
	case a == nil:
		return nil
	case a.name == "md5" && s.compat&compatSeedFix == 0:
		return md5Old
	}
	return a
}

func (s *session) setCodec(codec string) error {
	switch codec {
	case "", "none":
		codec = "none"
	case "zlib", "zlibx":
		if s.o.hasLevel && s.o.compressLevel == 0 {
			codec = "none"
		}
	case "zstd", "lz4":
	case "auto":
		codec = "zlib"
	default:
		return &refusal{fmt.Sprintf("compression %q is not known here: use one of %s", clip(codec), offeredCodecs), ExitUnsupported}
	}
	s.codec = codec
	return nil
}

// sumOffer puts the digests that the tree knows in front of --checksum's choice, by offering no others.
func (s *session) sumOffer() string {
	if h, ok := s.Source.(Hasher); ok && s.o.sender && s.o.checksum && len(h.Hashes()) > 0 {
		return strings.Join(h.Hashes(), " ")
	}
	return offeredSums
}

func choose(theirs, ours string) string {
	for name := range strings.FieldsSeq(theirs) {
		for mine := range strings.FieldsSeq(ours) {
			if strings.EqualFold(name, mine) || strings.EqualFold(name, "xxhash") && mine == "xxh64" {
				return mine
			}
		}
	}
	return ""
}

// fromClient takes a message of the client.
func (s *session) fromClient(code byte, payload []byte) error {
	switch code {
	case msgErrorExit:
		exit := ExitPartial
		if len(payload) == 4 {
			exit = int(int32(binary.LittleEndian.Uint32(payload)))
		}
		return clientExit(max(1, min(exit, 255)))
	case msgIOError:
		if len(payload) != 4 {
			return protocolError("an I/O error of a strange length")
		}
		if !s.o.sender {
			s.ioError.Or(int32(binary.LittleEndian.Uint32(payload)) & 7)
		}
	case msgNoSend:
		if len(payload) != 4 || s.o.sender {
			return protocolError("a file that is not sent, from the wrong side")
		}
		return s.notSent(int32(binary.LittleEndian.Uint32(payload)))
	case msgErrorXfer, msgInfo, msgError, msgWarning:
		s.log.Debug("rsync: the client says", "text", clip(string(payload)))
	}
	return nil
}
