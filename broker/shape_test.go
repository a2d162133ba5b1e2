package broker

import (
	"fmt"
	"math/rand/v2"
	"reflect"
	"testing"

	"github.com/twmb/franz-go/pkg/kmsg"
)

// fill sets every exported field of a message to something, arrays to up to three elements.
func fill(v reflect.Value, rnd *rand.Rand) {
	switch v.Kind() {
	case reflect.Struct:
		for i := range v.NumField() {
			if f := v.Type().Field(i); f.IsExported() && f.Name != "UnknownTags" && f.Name != "Version" {
				fill(v.Field(i), rnd)
			}
		}
		if tags := v.FieldByName("UnknownTags"); tags.IsValid() && rnd.IntN(3) == 0 {
			t := tags.Addr().Interface().(*kmsg.Tags)
			t.Set(1000+rnd.Uint32N(5), make([]byte, rnd.IntN(300)))
		}
	case reflect.Pointer:
		if rnd.IntN(3) == 0 {
			v.SetZero()
			return
		}
		v.Set(reflect.New(v.Type().Elem()))
		fill(v.Elem(), rnd)
	case reflect.Slice:
		n := rnd.IntN(4)
		v.Set(reflect.MakeSlice(v.Type(), n, n))
		for i := range n {
			fill(v.Index(i), rnd)
		}
	case reflect.Array:
		for i := range v.Len() {
			fill(v.Index(i), rnd)
		}
	case reflect.String:
		v.SetString("name"[:rnd.IntN(5)])
	case reflect.Bool:
		v.SetBool(rnd.IntN(2) == 0)
	case reflect.Int8, reflect.Int16, reflect.Int32, reflect.Int64:
		v.SetInt(rnd.Int64() >> (64 - v.Type().Bits()))
	case reflect.Uint8, reflect.Uint16, reflect.Uint32, reflect.Uint64:
		v.SetUint(rnd.Uint64() >> (64 - v.Type().Bits()))
	}
}

// TestOutlines holds every outline against what kmsg writes, in every version that is served.
func TestOutlines(t *testing.T) {
	rnd := rand.New(rand.NewPCG(1, 2))
	for _, a := range apiTable(servedAPIs()) {
		if a == nil {
			continue
		}
		first := a.min
		if a.key == 0 {
			first = producedFrom
		}
		for version := first; version <= a.max; version++ {
			t.Run(fmt.Sprintf("%s/%d", a.name, version), func(t *testing.T) {
				for range 100 {
					m := a.newRequest()
					m.SetVersion(version)
					fill(reflect.ValueOf(m).Elem(), rnd)
					m.SetVersion(version)
					body := m.AppendTo(nil)
					flexible := version >= a.flexible
					if flexible != m.IsFlexible() {
						t.Fatalf("flexible is %v", flexible)
					}
					w := walk{cursor: cursor{b: body}, version: version, flexible: flexible, left: maxElements}
					w.fields(a.shape)
					w.tags(flexible)
					if w.bad || len(w.b) != 0 {
						t.Fatalf("of %d bytes %d are left, bad is %v\n%+v", len(body), len(w.b), w.bad, m)
					}
					for n := range body {
						if _, ok := a.shape.accepts(body[:n], version, flexible); ok {
							t.Fatalf("%d of %d bytes are taken for a whole body", n, len(body))
						}
					}
				}
			})
		}
	}
}

// TestShapeBounds has bodies that claim more than they bring refused at once.
func TestShapeBounds(t *testing.T) {
	s := parseShape("[= int8 ]")
	if _, ok := s.accepts([]byte{0x7f, 0xff, 0xff, 0xff}, 0, false); ok {
		t.Error("an array of 2^31-1 elements in 4 bytes")
	}
	if _, ok := s.accepts(append([]byte{0, 4, 0, 1}, make([]byte, 1<<18+1)...), 0, false); ok {
		t.Error("more elements than are allowed")
	}
	if n, ok := s.accepts(append([]byte{0, 0, 1, 0}, make([]byte, 256)...), 0, false); !ok || n != 256 {
		t.Errorf("an array of 256: %d, %v", n, ok)
	}
	tagged := parseShape("int8")
	if _, ok := tagged.accepts([]byte{0, 0xff, 0xff, 0xff, 0xff, 0x0f}, 0, true); ok {
		t.Error("2^32-1 tags in 6 bytes")
	}
	if _, ok := tagged.accepts([]byte{0, 1, 7, 2, 0xaa, 0xbb}, 0, true); !ok {
		t.Error("a body with one tag")
	}
}

func TestBuffers(t *testing.T) {
	p := newBuffers(1 << 20)
	for n := 1; n < 9<<20; n = n*5/4 + 1 {
		b := p.get(n)
		if len(b) != n {
			t.Fatalf("get(%d) has length %d", n, len(b))
		}
		p.put(b)
		if c := p.get(n); n < 64<<10 && &c[0] != &b[0] {
			t.Fatalf("a buffer of %d bytes did not come back", n)
		} else {
			p.put(c)
		}
	}
	if p.idle > p.keep {
		t.Errorf("%d bytes are idle, %d may", p.idle, p.keep)
	}
}

// A large request takes a larger slice that is idle, all of which counts; beyond the budget it gets one of its size.
func TestLoanTakesLarger(t *testing.T) {
	p := newBuffers(16 << 20)
	big := p.get(6 << 20)
	p.put(big)
	l := loan{p: p}
	l.grow(1 << 20)
	b := l.get(1 << 20)
	if len(b) != 1<<20 || &b[0] != &big[0] || p.inFlight() != 6<<20 {
		t.Fatalf("%d bytes of %d, %d lent", len(b), cap(b), p.inFlight())
	}
	p.put(b)
	l.repay()
	other := loan{p: p}
	other.grow(12 << 20)
	l.grow(1 << 20)
	if b = l.get(1 << 20); cap(b) != 1<<20 || p.inFlight() != 13<<20 {
		t.Fatalf("beyond the budget: %d bytes, %d lent", cap(b), p.inFlight())
	}
	// What is in use now pushes out what is idle.
	for range 8 {
		p.put(make([]byte, 1<<20))
	}
	if p.idle != 8<<20 || len(p.free[2*20]) != 8 {
		t.Errorf("%d bytes idle, %d slices of one MiB", p.idle, len(p.free[2*20]))
	}
}

// TestLoans has more asked for than there is, by many at once, each in two steps: nobody may be left waiting.
func TestLoans(t *testing.T) {
	p := newBuffers(100)
	done := make(chan bool)
	for range 20 {
		go func() {
			for range 200 {
				l := loan{p: p}
				if !l.grow(30) || !l.grow(90) {
					t.Error("a loan was refused")
				}
				l.repay()
			}
			done <- true
		}()
	}
	for range 20 {
		<-done
	}
	if n := p.inFlight(); n != 0 {
		t.Errorf("%d bytes are still lent", n)
	}
	all := loan{p: p}
	all.grow(100)
	over := loan{p: p}
	if !over.grow(50) {
		t.Error("nobody may go beyond the budget")
	}
	go func() {
		third := loan{p: p}
		done <- third.grow(50)
	}()
	p.close()
	if <-done {
		t.Error("a loan was given by a closed budget")
	}
}

func TestWaiters(t *testing.T) {
	var l waiters
	woken := make(chan struct{}, 1)
	ws := make([]waiter, 5)
	for i := range ws {
		l.add(&ws[i], woken)
	}
	l.remove(&ws[2])
	l.remove(&ws[0])
	l.remove(&ws[4])
	l.remove(&ws[4])
	if n := l.n.Load(); n != 2 {
		t.Errorf("%d are in the list", n)
	}
	l.wake()
	<-woken
	if l.head != nil || l.n.Load() != 0 || ws[1].in.Load() || ws[3].in.Load() {
		t.Error("the list is not empty")
	}
	l.wake()
	select {
	case <-woken:
		t.Error("woken again")
	default:
	}
}

func TestGroupHash(t *testing.T) {
	// Java hashes UTF-16 units; the last word's hash is its smallest int, which has no absolute value.
	for s, want := range map[string]uint32{"": 0, "a": 97, "ab": 97*31 + 98, "é": 233, "𝄞": 0xd834*31 + 0xdd1e, "polygenelubricants": 0} {
		if got := groupHash(s); got != want {
			t.Errorf("hash of %q is %d, want %d", s, got, want)
		}
	}
}
