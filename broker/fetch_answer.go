package broker

import "time"

// inline is up to what size record bytes are copied into the answer; beyond it they are sent from the file.
const inline = 16 << 10

// makeAnswer makes the answer: what surrounds the records is gathered, the records are sent from where they lie.
func (f *fetch) makeAnswer() error {
	rq, v, flexible := f.rq, f.rq.version, f.rq.flexible
	size, topics := 64, 0
	for i := range f.parts {
		p := &f.parts[i]
		size += 80 + 17*len(p.aborted)
		if n := p.span.Len; n <= inline {
			size += int(n)
		}
		if i == 0 || p.topic != f.parts[i-1].topic {
			topics++
			size += 32 + len(f.topics[p.topic].name)
		}
	}
	out := rq.begin(size)
	f.answer.out = out
	out = appendInt32(out, f.rq.throttleMillis())
	if v >= 7 {
		out = appendInt16(out, rq.code(f.bad))
		out = appendInt32(out, f.session)
	}
	out = appendArrayLen(out, flexible, topics)
	total := 0
	cuts := f.few[:0]
	for i := range f.parts {
		p := &f.parts[i]
		t := &f.topics[p.topic]
		if i == 0 || p.topic != f.parts[i-1].topic {
			if v >= 13 {
				out = append(out, t.id[:]...)
			} else {
				out = appendString(out, flexible, []byte(t.name))
			}
			out = appendArrayLen(out, flexible, t.told)
		}
		out = f.appendPart(out, p)
		if n := int(p.span.Len); n > 0 {
			t.topic.counters.bytesOut.Add(uint64(n))
			if n <= inline {
				at := len(out)
				out = append(out, make([]byte, n)...)
				if _, err := p.span.ReadAt(out[at:], 0); err != nil {
					return err
				}
			} else {
				total += n
				cuts = append(cuts, cut{at: len(out), span: &p.span})
			}
		}
		out = f.appendPartEnd(out, p)
		if i == len(f.parts)-1 || p.topic != f.parts[i+1].topic {
			out = appendTags(out, flexible)
		}
	}
	out = appendTags(out, flexible)
	putInt32(out, int32(len(out)-4+total))
	f.answer = mixed{out: out, cuts: cuts}
	rq.times.writing = time.Since(rq.at)
	return nil
}

// appendPart appends a partition up to its records. An empty record set has length 0: librdkafka does not take null.
func (f *fetch) appendPart(out []byte, p *fetchPart) []byte {
	v, flexible := f.rq.version, f.rq.flexible
	out = appendInt32(out, p.index)
	out = appendInt16(out, f.rq.code(p.code))
	out = appendInt64(out, p.watermark)
	out = appendInt64(out, p.stable)
	if v >= 5 {
		out = appendInt64(out, p.start)
	}
	out = appendArrayLen(out, flexible, len(p.aborted))
	for _, a := range p.aborted {
		out = appendInt64(out, a.ProducerID)
		out = appendInt64(out, a.FirstOffset)
		out = appendTags(out, flexible)
	}
	if v >= 11 {
		out = appendInt32(out, -1) // preferred read replica
	}
	return appendArrayLen(out, flexible, int(p.span.Len))
}

// appendPartEnd appends what stands behind the records.
func (f *fetch) appendPartEnd(out []byte, p *fetchPart) []byte {
	if !f.rq.flexible {
		return out
	}
	if !p.diverges {
		return append(out, 0)
	}
	out = append(out, 1, 0, 13) // one tag, number 0, 13 bytes: epoch, offset, no tags
	out = appendInt32(out, p.endEpoch)
	out = appendInt64(out, p.end)
	return append(out, 0)
}
