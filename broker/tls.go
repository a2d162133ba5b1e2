package broker

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"sync"
	"time"
)

// ClientAuth says whether a TLS listener asks clients for a certificate (ssl.client.auth).
type ClientAuth uint8

const (
	// ClientAuthNone asks for none.
	ClientAuthNone ClientAuth = iota
	// ClientAuthRequested asks for one; a client without one is User:ANONYMOUS.
	ClientAuthRequested
	// ClientAuthRequired lets nobody in without one.
	ClientAuthRequired
)

// String returns Kafka's word for it: none, requested or required.
func (a ClientAuth) String() string {
	switch a {
	case ClientAuthNone:
		return "none"
	case ClientAuthRequested:
		return "requested"
	case ClientAuthRequired:
		return "required"
	}
	return fmt.Sprintf("client auth %d", uint8(a))
}

// ParseClientAuth reads what String writes.
func ParseClientAuth(s string) (ClientAuth, error) {
	for _, a := range []ClientAuth{ClientAuthNone, ClientAuthRequested, ClientAuthRequired} {
		if s == a.String() {
			return a, nil
		}
	}
	return 0, fmt.Errorf("client auth %q: want none, requested or required", s)
}

// TLSConfig says which certificates a listener shows and wants. Its files are PEM. They are read again when they have changed,
// for the connections that come then; while what is there cannot be used, the old ones stay in use and the log says so.
type TLSConfig struct {
	CertFile string // the broker's certificate, its issuers behind it. Required
	KeyFile  string // its private key; empty: in CertFile

	ClientAuth   ClientAuth
	ClientCAFile string // who may issue the certificates of clients; required when they are asked for

	// PrincipalRules turns the distinguished name of a client's certificate into the name of a principal:
	// ssl.principal.mapping.rules. Empty: DEFAULT, the name as it is.
	PrincipalRules string
}

func (c *TLSConfig) check() error {
	if c.CertFile == "" {
		return inField("CertFile", errors.New("must be set"))
	}
	if c.ClientAuth > ClientAuthRequired {
		return inField("ClientAuth", fmt.Errorf("%d is none of ClientAuthNone, ClientAuthRequested, ClientAuthRequired", c.ClientAuth))
	}
	if c.ClientAuth != ClientAuthNone && c.ClientCAFile == "" {
		return inField("ClientCAFile", errors.New("must be set where clients are asked for a certificate"))
	}
	if _, err := parsePrincipalRules(c.PrincipalRules); err != nil {
		return inField("PrincipalRules", err)
	}
	return nil
}

// certificates are those of one TLS listener, kept up to date with their files.
type certificates struct {
	cfg   *TLSConfig
	rules principalRules
	log   *slog.Logger
	every time.Duration // how often files are looked at, at most

	mu      sync.Mutex
	current *tls.Config
	files   []fileState // as they were when current, or the last failure, was read
	looked  time.Time
}

// fileState tells whether a file has changed.
type fileState struct {
	path string
	size int64
	at   time.Time
}

const lookAtCertificates = time.Second

func newCertificates(cfg *TLSConfig, log *slog.Logger) (*certificates, error) {
	rules, err := parsePrincipalRules(cfg.PrincipalRules)
	if err != nil {
		return nil, err
	}
	c := &certificates{cfg: cfg, rules: rules, log: log, every: lookAtCertificates}
	c.files = c.states()
	if c.current, err = c.load(); err != nil {
		return nil, err
	}
	c.looked = time.Now()
	return c, nil
}

func (c *certificates) states() []fileState {
	var states []fileState
	for _, path := range []string{c.cfg.CertFile, c.cfg.KeyFile, c.cfg.ClientCAFile} {
		if path == "" {
			continue
		}
		s := fileState{path: path, size: -1}
		if info, err := os.Stat(path); err == nil {
			s.size, s.at = info.Size(), info.ModTime()
		}
		states = append(states, s)
	}
	return states
}

func (c *certificates) load() (*tls.Config, error) {
	key := c.cfg.KeyFile
	if key == "" {
		key = c.cfg.CertFile
	}
	cert, err := tls.LoadX509KeyPair(c.cfg.CertFile, key)
	if err != nil {
		return nil, fmt.Errorf("read certificate %s: %w", c.cfg.CertFile, err)
	}
	t := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12}
	if c.cfg.ClientAuth == ClientAuthNone {
		return t, nil
	}
	pem, err := os.ReadFile(c.cfg.ClientCAFile)
	if err != nil {
		return nil, fmt.Errorf("read issuers of clients: %w", err)
	}
	t.ClientCAs = x509.NewCertPool()
	if !t.ClientCAs.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("read issuers of clients: no certificate in %s", c.cfg.ClientCAFile)
	}
	t.ClientAuth = tls.VerifyClientCertIfGiven
	if c.cfg.ClientAuth == ClientAuthRequired {
		t.ClientAuth = tls.RequireAndVerifyClientCert
	}
	return t, nil
}

// get returns what to use for the next connection.
func (c *certificates) get() *tls.Config {
	c.mu.Lock()
	defer c.mu.Unlock()
	now := time.Now()
	if now.Sub(c.looked) < c.every {
		return c.current
	}
	c.looked = now
	states := c.states()
	changed := false
	for i := range states {
		changed = changed || states[i].size != c.files[i].size || !states[i].at.Equal(c.files[i].at)
	}
	if !changed {
		return c.current
	}
	c.files = states
	t, err := c.load()
	if err != nil {
		c.log.Error("certificates have changed and cannot be used; the old ones stay", "err", err)
		return c.current
	}
	c.log.Info("certificates read again", "cert", c.cfg.CertFile)
	c.current = t
	return t
}
