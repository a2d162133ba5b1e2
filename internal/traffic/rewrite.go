package traffic

import (
	"encoding/binary"
	"net/netip"
	"time"

	"github.com/tributary-net/tributary/ipfix"
	"github.com/tributary-net/tributary/netflow"
)

// Rewriter moves the times in recorded export datagrams, so that old flows look
// as if they were of now: the export time of headers, and absolute times in
// records of NetFlow v9 and IPFIX. Times that count from the start of the
// exporter move with the header; sFlow has none.
//
// It remembers templates by exporter and domain, since they say where times are.
type Rewriter struct {
	templates map[rewriteKey]*ipfix.Template
	values    ipfix.Records
}

type rewriteKey struct {
	exporter netip.AddrPort
	version  uint16
	domain   uint32
	id       uint16
}

// maxRewriteTemplates bounds what a capture can make a Rewriter remember.
const maxRewriteTemplates = 1 << 16

// Rewrite moves all times in a datagram, in place. What it cannot make sense of
// stays as it is.
func (w *Rewriter) Rewrite(exporter netip.AddrPort, b []byte, by time.Duration) {
	if len(b) < 16 {
		return
	}
	switch version := binary.BigEndian.Uint16(b); version {
	case 1, 5, 7:
		ns := int64(binary.BigEndian.Uint32(b[8:]))*1e9 + int64(binary.BigEndian.Uint32(b[12:])) + int64(by)
		binary.BigEndian.PutUint32(b[8:], uint32(ns/1e9))
		binary.BigEndian.PutUint32(b[12:], uint32(ns%1e9))
	case 9:
		h, sets, err := netflow.ParseV9Header(b)
		if err != nil {
			return
		}
		moveSeconds(b[8:12], by)
		w.rewriteSets(rewriteKey{exporter, version, h.SourceID, 0}, sets, by)
	case ipfix.Version:
		h, sets, _ := ipfix.ParseHeader(b)
		if sets == nil {
			return
		}
		moveSeconds(b[4:8], by)
		w.rewriteSets(rewriteKey{exporter, version, h.Domain, 0}, sets, by)
	}
}

func (w *Rewriter) rewriteSets(key rewriteKey, b []byte, by time.Duration) {
	learn := func(t *ipfix.Template) {
		key.id = t.ID
		if w.templates == nil || len(w.templates) >= maxRewriteTemplates {
			w.templates = make(map[rewriteKey]*ipfix.Template)
		}
		w.templates[key] = t.Clone()
	}
	sets := ipfix.SetsOf(b)
	for set := (ipfix.Set{}); sets.Next(&set); {
		switch {
		case set.ID >= ipfix.MinDataSetID:
			key.id = set.ID
			if t := w.templates[key]; t != nil {
				w.rewriteRecords(t, set.Body, by)
			}
		case key.version == 9 && set.ID <= netflow.V9OptionsTemplateSetID:
			_ = netflow.ParseV9Templates(set, learn)
		case key.version == ipfix.Version && (set.ID == ipfix.TemplateSetID || set.ID == ipfix.OptionsTemplateSetID):
			_ = ipfix.ParseTemplates(set, learn)
		}
	}
}

func (w *Rewriter) rewriteRecords(t *ipfix.Template, body []byte, by time.Duration) {
	w.values.Reset(t, body)
	for rec := w.values.Next(); rec != nil; rec = w.values.Next() {
		off := 0
		for i, f := range t.Fields {
			var v []byte
			if t.Variable {
				v = w.values.Value(rec, i)
			} else {
				v = rec[off : off+int(f.Length)]
				off += int(f.Length)
			}
			if f.Enterprise == ipfix.IANA || f.Enterprise == ipfix.ReverseEnterprise {
				moveTime(f.ID, v, by)
			}
		}
	}
}

// moveTime moves the value of an element that is a time since an epoch.
func moveTime(id uint16, v []byte, by time.Duration) {
	switch id {
	case 150, 151, 322: // dateTimeSeconds
		if len(v) == 4 {
			moveSeconds(v, by)
		}
	case 152, 153, 160, 323: // dateTimeMilliseconds
		if len(v) == 8 {
			binary.BigEndian.PutUint64(v, binary.BigEndian.Uint64(v)+uint64(by.Milliseconds()))
		}
	case 154, 155, 156, 157, 324, 325: // dateTimeMicroseconds, dateTimeNanoseconds
		if len(v) == 8 {
			seconds := int64(by / time.Second)
			fraction := int64(by%time.Second) << 32 / int64(time.Second)
			binary.BigEndian.PutUint64(v, binary.BigEndian.Uint64(v)+uint64(seconds<<32+fraction))
		}
	}
}

func moveSeconds(v []byte, by time.Duration) {
	binary.BigEndian.PutUint32(v, binary.BigEndian.Uint32(v)+uint32(int64(by.Round(time.Second)/time.Second)))
}

// ExportTime returns the time that the header of an export datagram says it was
// sent at; false for sFlow, which does not say, and for what is none.
func ExportTime(b []byte) (time.Time, bool) {
	if len(b) < 16 {
		return time.Time{}, false
	}
	switch binary.BigEndian.Uint16(b) {
	case 1, 5, 7, 9:
		return time.Unix(int64(binary.BigEndian.Uint32(b[8:])), 0), true
	case ipfix.Version:
		return time.Unix(int64(binary.BigEndian.Uint32(b[4:])), 0), true
	}
	return time.Time{}, false
}
