package broker

import (
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/asn1"
	"strings"
	"testing"
	"time"
)

// LookAtCertificates has a listener look at its files for every connection.
func (b *Broker) LookAtCertificates(listener string) {
	for _, l := range b.listeners {
		if l.cfg.Name == listener {
			l.certificates.mu.Lock()
			l.certificates.every = 0
			l.certificates.mu.Unlock()
		}
	}
}

// TestSCRAMVector plays the exchange of RFC 7677, 3.
func TestSCRAMVector(t *testing.T) {
	salt := []byte{0x5b, 0x6d, 0x99, 0x68, 0x9d, 0x12, 0x35, 0x8e, 0xec, 0xa0, 0x4b, 0x14, 0x12, 0x36, 0xfa, 0x81}
	c := scramSHA256.fromSalted(scramSHA256.salted("pencil", salt, 4096), salt, 4096)
	us := &users{stored: map[credentialKey]scramCredential{{scramSHA256, "user"}: c}}
	x := &scramExchange{users: us, mechanism: scramSHA256}
	answer, done, err := x.next([]byte("n,,n=user,r=rOprNGfwEbeRWgbNEkqO"))
	if err != nil || done || !strings.HasPrefix(string(answer), "r=rOprNGfwEbeRWgbNEkqO") || !strings.HasSuffix(string(answer), ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096") {
		t.Fatalf("first answer %q, %v, %v", answer, done, err)
	}
	// The nonce of the example in place of the one made up here.
	const nonce = `rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0`
	x.nonce = nonce
	x.authMessage = "n=user,r=rOprNGfwEbeRWgbNEkqO,r=" + nonce + ",s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096"
	answer, done, err = x.next([]byte("c=biws,r=" + nonce + ",p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ="))
	if err != nil || !done || string(answer) != "v=6rriTRBi23WpRR/wtup+mMhUZUn/dB5nLTJRsjl95G4=" || x.user() != "user" {
		t.Errorf("final answer %q, %v, %v", answer, done, err)
	}
}

// TestUnknownUser cannot be told from a known one before the proof, nor from itself a moment before.
func TestUnknownUser(t *testing.T) {
	us := &users{stored: map[credentialKey]scramCredential{}}
	salt := func() string {
		x := &scramExchange{users: us, mechanism: scramSHA512}
		answer, _, err := x.next([]byte("n,,n=nobody,r=abc"))
		if err != nil {
			t.Fatal(err)
		}
		return string(answer[strings.Index(string(answer), ",s="):])
	}
	if a, b := salt(), salt(); a != b || !strings.HasSuffix(a, ",i=4096") {
		t.Errorf("%s, then %s", a, b)
	}
}

func FuzzSASL(f *testing.F) {
	f.Add("n,,n=user,r=abc", "c=biws,r=abc,p=AAAA")
	f.Add("y,a=user,n=user,r=abc,tokenauth=true", "c=,r=,p=")
	f.Add("\x00user\x00pencil", "")
	f.Add("\x00user\x00", "x")
	us := &users{
		checks: make(chan struct{}, 1),
		stored: map[credentialKey]scramCredential{{scramSHA256, "user"}: {Salt: []byte("salt"), Iterations: 1, StoredKey: make([]byte, 32), ServerKey: make([]byte, 32)}},
	}
	f.Fuzz(func(t *testing.T, first, second string) {
		for _, mechanism := range saslMechanisms {
			x := us.exchange(mechanism)
			_, done, err := x.next([]byte(first))
			if err == nil && !done {
				_, done, err = x.next([]byte(second))
			}
			if err == nil && done {
				t.Errorf("%s lets in %q by %q, %q", mechanism, x.user(), first, second)
			}
		}
	})
}

func TestDistinguishedName(t *testing.T) {
	rdn := func(oid asn1.ObjectIdentifier, value any) pkix.AttributeTypeAndValue {
		return pkix.AttributeTypeAndValue{Type: oid, Value: value}
	}
	cn, ou := asn1.ObjectIdentifier{2, 5, 4, 3}, asn1.ObjectIdentifier{2, 5, 4, 11}
	uid := asn1.ObjectIdentifier{0, 9, 2342, 19200300, 100, 1, 1}
	email := asn1.ObjectIdentifier{1, 2, 840, 113549, 1, 9, 1}
	for want, seq := range map[string]pkix.RDNSequence{
		"CN=alice,OU=net,C=DE":                  {{rdn(asn1.ObjectIdentifier{2, 5, 4, 6}, "DE")}, {rdn(ou, "net")}, {rdn(cn, "alice")}},
		`CN=a\,b\+c\"d\\e\<f\>g\;h`:             {{rdn(cn, `a,b+c"d\e<f>g;h`)}},
		`CN=\#x\ `:                              {{rdn(cn, "#x ")}},
		"UID=u":                                 {{rdn(uid, "u")}},
		"1.2.840.113549.1.9.1=#1303612e62,CN=x": {{rdn(cn, "x")}, {rdn(email, "a.b")}},
		"CN=é":                                  {{rdn(cn, "é")}},
	} {
		der, err := asn1.Marshal(seq)
		if err != nil {
			t.Fatal(err)
		}
		if got, err := distinguishedName(&x509.Certificate{RawSubject: der}); got != want || err != nil {
			t.Errorf("%q, %v, want %q", got, err, want)
		}
	}
	for _, bad := range []string{"", "x", "\x30\x02\x31\x00\x00"} {
		if got, err := distinguishedName(&x509.Certificate{RawSubject: []byte(bad)}); err == nil {
			t.Errorf("%x is read as %q", bad, got)
		}
	}
}

func TestPrincipalRules(t *testing.T) {
	const name = "CN=Alice,OU=ServiceUsers,O=Net"
	for rules, want := range map[string]string{
		"":                            name,
		"DEFAULT":                     name,
		"RULE:^CN=(.*?),OU=.*$/$1/":   "Alice",
		"RULE:^CN=(.*?),OU=.*$/$1/L":  "alice",
		"RULE:CN=(.*?),.*/x-$1-y/U":   "X-ALICE-Y",
		"RULE:CN=Bob.*/b/, DEFAULT":   name,
		"RULE:CN=Bob.*/b/,RULE:.*/z/": "z",
		`RULE:.*O=(.*)/a\/$1/`:        "a/Net",
	} {
		r, err := parsePrincipalRules(rules)
		if err != nil {
			t.Errorf("%s: %v", rules, err)
			continue
		}
		if got, err := r.user(name); got != want || err != nil {
			t.Errorf("%s: %q, %v, want %q", rules, got, err, want)
		}
	}
	r, _ := parsePrincipalRules("RULE:CN=Bob.*/b/")
	if _, err := r.user(name); err == nil {
		t.Error("a name that no rule matches has a user")
	}
	for _, bad := range []string{"x", "RULE:a", "RULE:a/b", "RULE:(/b/", "RULE:a/b/X", "DEFAULT DEFAULT"} {
		if _, err := parsePrincipalRules(bad); err == nil {
			t.Errorf("%q is taken", bad)
		}
	}
}

// TestBadCertificates: certificates that cannot be read stop the start.
func TestBadCertificates(t *testing.T) {
	cfg := Config{DataDir: t.TempDir(), Listeners: []Listener{{Address: "127.0.0.1:0", TLS: &TLSConfig{CertFile: "/nonexistent"}}}}
	if b, err := Open(cfg); err == nil {
		_ = b.Close()
		t.Error("opened without a certificate")
	} else if !strings.Contains(err.Error(), "SSL") {
		t.Errorf("the listener is not named: %v", err)
	}
}

// TestTrouble logs what repeats once a minute.
func TestTrouble(t *testing.T) {
	var tr trouble
	now := time.Now()
	if _, due := tr.due(now); !due {
		t.Error("not at the beginning")
	}
	for second := 1; second < 60; second++ {
		if _, due := tr.due(now.Add(time.Duration(second) * time.Second)); due {
			t.Errorf("again after %d s", second)
		}
	}
	if unsaid, due := tr.due(now.Add(time.Minute)); !due || unsaid != 59 {
		t.Errorf("after a minute: %v, %d unsaid", due, unsaid)
	}
	if unsaid, due := tr.due(now.Add(2 * time.Minute)); !due || unsaid != 0 {
		t.Errorf("after two: %v, %d unsaid", due, unsaid)
	}
}
