package flow

import (
	"encoding/binary"
	"encoding/hex"
	"math/bits"
	"net/netip"
	"strconv"
	"unicode/utf8"
)

// jsonText holds, for each field, the text that opens its value. For goflow2's
// own fields it holds the whole text of an absent one, all of them in one string,
// so that a run of absent fields and the opening of the next one are one copy.
var jsonText = func() (t struct {
	open     [numFields]string
	absent   string
	absentAt [maxFields]int // where the text of a field begins
	openEnd  [maxFields]int // where its value begins
},
) {
	var empty Record
	for f := Field(0); f < numFields; f++ {
		sep := ","
		if f == 0 {
			sep = "{"
		}
		t.open[f] = sep + strconv.Quote(fields[f].Name) + ":"
		if f < numGoflow2 {
			t.absentAt[f] = len(t.absent)
			t.openEnd[f] = len(t.absent) + len(t.open[f])
			t.absent += string(appendJSONField([]byte(t.open[f]), &empty, f))
		}
	}
	t.absentAt[numGoflow2] = len(t.absent)
	return t
}()

// goflow2Words masks the fields that goflow2 has, all of which are in the first
// word of the bitset.
const goflow2Words = 1<<numGoflow2 - 1

// AppendJSON appends r as one JSON object without a newline: all of goflow2's
// fields, present or not, in its order and rendering, with proto_number and
// etype_number beside proto and etype; then the fields of ours that are present;
// then elements, as {"enterprise","id","value"} with the value in hexadecimal; then
// extra fields.
func AppendJSON(dst []byte, r *Record) []byte {
	// The rendering of these depends on other fields even when they are absent.
	const derived = 1<<SrcNet | 1<<DstNet
	first := Field(0)
	if (r.set[0]^r.shared[0])&(1<<jsonShared-1) == 0 {
		if len(r.jsonPrefix) == 0 {
			r.jsonPrefix = appendJSONCore(r.jsonPrefix, r, r.set[0]&(1<<jsonShared-1), 0, jsonShared)
		}
		dst = append(dst, r.jsonPrefix...)
		first = jsonShared
	}
	dst = appendJSONCore(dst, r, (r.set[0]|derived)&goflow2Words&^(1<<first-1), first, numGoflow2)

	own := FieldSet{r.set[0] &^ goflow2Words, r.set[1]}
	for w, set := range own {
		for ; set != 0; set &= set - 1 {
			f := Field(w<<6 | bits.TrailingZeros64(set))
			dst = append(dst, jsonText.open[f]...)
			dst = appendJSONField(dst, r, f)
		}
	}
	if len(r.elements) > 0 {
		dst = append(dst, `,"elements":[`...)
		for i := range r.elements {
			e := &r.elements[i]
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(dst, `{"enterprise":`...)
			dst = appendUint(dst, uint64(e.Enterprise))
			dst = append(dst, `,"id":`...)
			dst = appendUint(dst, uint64(e.ID))
			dst = append(dst, `,"value":"`...)
			dst = hex.AppendEncode(dst, e.Value)
			dst = append(dst, `"}`...)
		}
		dst = append(dst, ']')
	}
	for i := range r.extras {
		dst = appendJSONExtra(dst, &r.extras[i])
	}
	return append(dst, '}')
}

// jsonShared is how many fields, at the start of the object, all records of a
// datagram mostly share: their text is made once.
const jsonShared = SamplerAddress + 1

// appendJSONCore appends goflow2's own fields from first to before end: those in
// set with their values, the others as absent.
func appendJSONCore(dst []byte, r *Record, set uint64, first, end Field) []byte {
	for ; set != 0; set &= set - 1 {
		f := Field(bits.TrailingZeros64(set))
		dst = append(dst, jsonText.absent[jsonText.absentAt[first]:jsonText.openEnd[f]]...)
		dst = appendJSONField(dst, r, f)
		first = f + 1
	}
	return append(dst, jsonText.absent[jsonText.absentAt[first]:jsonText.absentAt[end]]...)
}

// appendJSONField appends the value of f, with quotes where it has them, and
// the number beside a name.
func appendJSONField(dst []byte, r *Record, f Field) []byte {
	switch fields[f].Kind {
	case KindUint, KindTime:
		return appendUint(dst, r.Uint(f))
	case KindEtype:
		dst = append(appendPlain(append(dst, '"'), r, f), `","etype_number":`...)
		return appendUint(dst, r.Uint(f))
	case KindProto:
		dst = append(appendPlain(append(dst, '"'), r, f), `","proto_number":`...)
		return appendUint(dst, r.Uint(f))
	case KindText:
		return appendJSONString(dst, r.Bytes(f))
	case KindUints:
		dst = append(dst, '[')
		for i, v := range r.Uints(f) {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = appendUint(dst, uint64(v))
		}
		return append(dst, ']')
	case KindLayers:
		dst = append(dst, '[')
		for i, v := range r.Uints(f) {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(append(append(dst, '"'), Layer(v).String()...), '"')
		}
		return append(dst, ']')
	case KindAddrs:
		dst = append(dst, '[')
		for i := range r.AddrCount(f) {
			if i > 0 {
				dst = append(dst, ',')
			}
			dst = append(r.AddrAt(f, i).AppendTo(append(dst, '"')), '"')
		}
		return append(dst, ']')
	default:
		return append(appendPlain(append(dst, '"'), r, f), '"')
	}
}

// appendPlain appends the value of f as JSON has it, without quotes.
func appendPlain(dst []byte, r *Record, f Field) []byte {
	switch fields[f].Kind {
	case KindType:
		return append(dst, FlowType(r.Uint(f)).String()...)
	case KindSource:
		return append(dst, Source(r.Uint(f)).String()...)
	case KindMAC:
		return appendMAC(dst, r.Uint(f))
	case KindEtype:
		return append(dst, EtypeName(uint32(r.Uint(f)))...)
	case KindProto:
		return append(dst, ProtoName(uint32(r.Uint(f)))...)
	case KindNet:
		return appendNet(dst, r, f)
	case KindAddr:
		return appendAddr(dst, r, f)
	case KindText:
		return append(dst, r.Bytes(f)...)
	case KindBytes:
		return hex.AppendEncode(dst, r.Bytes(f))
	default:
		return appendJSONField(dst, r, f)
	}
}

func appendAddr(dst []byte, r *Record, f Field) []byte {
	if !r.Has(f) {
		return dst
	}
	if r.num[f] == 4 {
		return appendIPv4(dst, [4]byte(r.addr[f][:4]))
	}
	return netip.AddrFrom16(r.addr[f]).AppendTo(dst)
}

// appendIPv4 appends an address. Each octet is stored with the point behind it, in
// four bytes at once however many of them are wanted.
func appendIPv4(dst []byte, a [4]byte) []byte {
	for _, b := range a {
		o := &points[b]
		dst = append(dst, o.text[:]...)[:len(dst)+int(o.length)]
	}
	return dst[:len(dst)-1]
}

// points holds the decimal text of every octet with a point behind it.
var points = func() (t [256]struct {
	text   [4]byte
	length uint8
},
) {
	for i := range t {
		t[i].length = uint8(copy(t[i].text[:], strconv.Itoa(i)+"."))
	}
	return t
}()

// appendUint appends v in decimal. Eight digits are made at once, and stored at
// once however many of them are wanted: numbers in records are of all lengths,
// and a branch or a copy for each would cost more than the digits.
func appendUint(dst []byte, v uint64) []byte {
	if v < 10 {
		return append(dst, '0'+byte(v))
	}
	if v >= 1e8 {
		dst = appendUint(dst, v/1e8)
		return binary.LittleEndian.AppendUint64(dst, eightDigits(v%1e8))
	}
	// 1233/4096 is a little more than the logarithm of 2.
	n := bits.Len64(v) * 1233 >> 12
	if v >= powers[n&15] {
		n++
	}
	return binary.LittleEndian.AppendUint64(dst, eightDigits(v)>>(8*(8-n)))[:len(dst)+n]
}

// eightDigits returns the decimal text of v, 0 <= v < 10^8, with leading zeros,
// the first digit in the lowest octet. It splits the number into halves three
// times, each time all parts side by side.
func eightDigits(v uint64) uint64 {
	x := v/10000 | v%10000<<32
	hundreds := x * 10486 >> 20 & 0x0000007f0000007f
	x = hundreds | (x-100*hundreds)<<16
	tens := x * 103 >> 10 & 0x000f000f000f000f
	x = tens | (x-10*tens)<<8
	return x | 0x3030303030303030
}

// powers holds powers of ten; its length is that of the index in appendUint.
var powers = [16]uint64{1, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8}

// octets holds the decimal text of every octet.
var octets = func() (t [256]string) {
	for i := range t {
		t[i] = strconv.Itoa(i)
	}
	return t
}()

// appendNet appends the network that a prefix length makes of its address.
// goflow2 prints "invalid Prefix" where there is no address or the length is
// too great.
func appendNet(dst []byte, r *Record, f Field) []byte {
	a := SrcAddr
	if f == DstNet {
		a = DstAddr
	}
	n := r.Uint(f)
	if !r.Has(a) || n > 8*r.num[a] {
		return append(dst, "invalid Prefix"...)
	}
	if r.num[a] == 4 {
		v := binary.BigEndian.Uint32(r.addr[a][:4]) & uint32(^uint64(0)<<(32-n))
		dst = appendIPv4(dst, [4]byte{byte(v >> 24), byte(v >> 16), byte(v >> 8), byte(v)})
		return append(append(dst, '/'), octets[n]...)
	}
	p, _ := netip.AddrFrom16(r.addr[a]).Prefix(int(n))
	return p.AppendTo(dst)
}

const hexDigits = "0123456789abcdef"

func appendMAC(dst []byte, v uint64) []byte {
	for shift := 40; shift >= 0; shift -= 8 {
		b := byte(v >> shift)
		dst = append(dst, hexDigits[b>>4], hexDigits[b&15])
		if shift > 0 {
			dst = append(dst, ':')
		}
	}
	return dst
}

// appendJSONString appends s as a JSON string; octets that are not UTF-8 become
// U+FFFD.
func appendJSONString(dst, s []byte) []byte {
	dst = append(dst, '"')
	for len(s) > 0 {
		c := s[0]
		switch {
		case c == '"' || c == '\\':
			dst = append(dst, '\\', c)
		case c < 0x20 || c == 0x7f:
			dst = append(dst, '\\', 'u', '0', '0', hexDigits[c>>4], hexDigits[c&15])
		case c < utf8.RuneSelf:
			dst = append(dst, c)
		default:
			c, n := utf8.DecodeRune(s)
			dst = utf8.AppendRune(dst, c)
			s = s[n:]
			continue
		}
		s = s[1:]
	}
	return append(dst, '"')
}

// AppendKFlow appends r as KFlow's JSON object. Addresses that are absent are
// 0.0.0.0 as there; IPv6 addresses, which KFlow does not have, stand in the same
// places. time is the export time in ms since the epoch.
func AppendKFlow(dst []byte, r *Record) []byte {
	address := func(dst []byte, f Field) []byte {
		if !r.Has(f) {
			return append(dst, "0.0.0.0"...)
		}
		return appendAddr(dst, r, f)
	}
	dst = address(append(dst, `{"dvc":"`...), SamplerAddress)
	dst = address(append(dst, `","src":"`...), SrcAddr)
	dst = appendUint(append(dst, `","srcp":`...), r.Uint(SrcPort))
	dst = address(append(dst, `,"dst":"`...), DstAddr)
	dst = appendUint(append(dst, `","dstp":`...), r.Uint(DstPort))
	dst = appendUint(append(dst, `,"proto":`...), r.Uint(Proto))
	dst = appendUint(append(dst, `,"flags":`...), r.Uint(TCPFlags))
	dst = appendUint(append(dst, `,"bytes":`...), r.Uint(Bytes))
	dst = appendUint(append(dst, `,"pkts":`...), r.Uint(Packets))
	dst = appendUint(append(dst, `,"time":`...), r.Uint(TimeExport)/1e6)
	return append(dst, '}')
}
