package kafka

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"strings"

	"github.com/twmb/franz-go/pkg/sasl"
	"github.com/twmb/franz-go/pkg/sasl/plain"
	"github.com/twmb/franz-go/pkg/sasl/scram"
)

// mechanism is the SASL mechanism, "" for none. A user without a mechanism means
// Kafka's simplest.
func (p Properties) mechanism() string {
	if m := p["sasl.mechanism"]; m != "" {
		return m
	}
	if p["sasl.username"] != "" || p["sasl.jaas.config"] != "" {
		return "PLAIN"
	}
	return ""
}

// credentials returns user and password.
func (p Properties) credentials() (user, password string, err error) {
	user, password = p["sasl.username"], p["sasl.password"]
	if jaas := p["sasl.jaas.config"]; jaas != "" {
		o, err := ParseJAAS(jaas)
		if err != nil {
			return "", "", err
		}
		user, password = o["username"], o["password"]
	}
	if user == "" || password == "" {
		return "", "", badEndpoint("sasl.mechanism=%s needs sasl.username and sasl.password, or a sasl.jaas.config with both", p.mechanism())
	}
	return user, password, nil
}

// ParseJAAS reads the options of a login module: Class required name="value" ...;
func ParseJAAS(s string) (map[string]string, error) {
	bad := badEndpoint("sasl.jaas.config: allowed is a line such as org.apache.kafka.common.security.plain.PlainLoginModule required username=\"u\" password=\"p\";")
	s = strings.TrimSuffix(strings.TrimSpace(s), ";")
	class, s, _ := strings.Cut(s, " ")
	flag, s, _ := strings.Cut(strings.TrimSpace(s), " ")
	if !strings.HasSuffix(class, "LoginModule") || flag != "required" {
		return nil, bad
	}
	options := map[string]string{}
	for s = strings.TrimSpace(s); s != ""; s = strings.TrimSpace(s) {
		name, rest, ok := strings.Cut(s, "=")
		if !ok || name == "" || rest == "" {
			return nil, bad
		}
		var value strings.Builder
		if q := rest[0]; q == '"' || q == '\'' {
			i := 1
			for ; i < len(rest) && rest[i] != q; i++ {
				if rest[i] == '\\' && i+1 < len(rest) {
					i++
				}
				value.WriteByte(rest[i])
			}
			if i >= len(rest) {
				return nil, bad
			}
			s = rest[i+1:]
		} else {
			var v string
			v, s, _ = strings.Cut(rest, " ")
			value.WriteString(v)
		}
		options[strings.TrimSpace(name)] = value.String()
	}
	return options, nil
}

// sasl returns the mechanism to log in with, nil for none.
func (p Properties) sasl() (sasl.Mechanism, error) {
	m := p.mechanism()
	if m == "" {
		return nil, nil
	}
	user, password, err := p.credentials()
	if err != nil {
		return nil, err
	}
	switch m {
	case "SCRAM-SHA-256":
		return scram.Auth{User: user, Pass: password}.AsSha256Mechanism(), nil
	case "SCRAM-SHA-512":
		return scram.Auth{User: user, Pass: password}.AsSha512Mechanism(), nil
	default:
		return plain.Auth{User: user, Pass: password}.AsMechanism(), nil
	}
}

// tls returns the TLS configuration. The files are read now.
func (p Properties) tls() (*tls.Config, error) {
	c := &tls.Config{MinVersion: tls.VersionTLS12}
	roots, err := p.roots()
	if err != nil {
		return nil, err
	}
	c.RootCAs = roots
	cert, err := p.certificate()
	if err != nil {
		return nil, err
	}
	if cert != nil {
		c.Certificates = []tls.Certificate{*cert}
	}
	if a, ok := p["ssl.endpoint.identification.algorithm"]; ok && a != "https" {
		// The chain is still verified, only the name is not.
		c.InsecureSkipVerify = true
		c.VerifyConnection = func(s tls.ConnectionState) error {
			o := x509.VerifyOptions{Roots: roots, Intermediates: x509.NewCertPool()}
			for _, cert := range s.PeerCertificates[1:] {
				o.Intermediates.AddCert(cert)
			}
			_, err := s.PeerCertificates[0].Verify(o)
			return err
		}
	}
	return c, nil
}

// pemFrom returns the text of the first of the named properties that is set;
// those ending in .location name a file.
func (p Properties) pemFrom(names ...string) (text []byte, name string, err error) {
	for _, n := range names {
		v := p[n]
		if v == "" {
			continue
		}
		if !strings.HasSuffix(n, ".location") {
			return []byte(v), n, nil
		}
		text, err := os.ReadFile(v)
		if err != nil {
			return nil, n, fmt.Errorf("%s: %w", n, err)
		}
		if block, _ := pem.Decode(text); block == nil {
			return nil, n, fmt.Errorf("%s: %s has no PEM in it%s", n, v, storeHint("ssl.keystore.type"))
		}
		return text, n, nil
	}
	return nil, "", nil
}

// roots are the authorities to trust, nil for the system's.
func (p Properties) roots() (*x509.CertPool, error) {
	text, name, err := p.pemFrom("ssl.ca.location", "ssl.truststore.location", "ssl.truststore.certificates")
	if err != nil || text == nil {
		return nil, err
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(text) {
		return nil, fmt.Errorf("%s: no certificate in it", name)
	}
	return pool, nil
}

// certificate is the client's, nil for none.
func (p Properties) certificate() (*tls.Certificate, error) {
	chain, chainName, err := p.pemFrom("ssl.certificate.location", "ssl.keystore.certificate.chain", "ssl.keystore.location")
	if err != nil || chain == nil {
		return nil, err
	}
	key, keyName, err := p.pemFrom("ssl.key.location", "ssl.keystore.key")
	if err != nil {
		return nil, err
	}
	if key == nil {
		key, keyName = chain, chainName
	}
	if key, err = decryptKey(key, p["ssl.key.password"]); err != nil {
		return nil, fmt.Errorf("%s: %w", keyName, err)
	}
	cert, err := tls.X509KeyPair(chain, key)
	if err != nil {
		return nil, fmt.Errorf("%s: %w", chainName, err)
	}
	return &cert, nil
}

// decryptKey returns text with its private key in the clear.
func decryptKey(text []byte, password string) ([]byte, error) {
	for rest := text; ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			return text, nil
		}
		switch {
		case block.Type == "ENCRYPTED PRIVATE KEY":
			return nil, errors.New("an encrypted PKCS #8 key is not understood (openssl pkey -in key.pem -out plain.pem opens it)")
		case strings.HasSuffix(block.Type, "PRIVATE KEY") && block.Headers["DEK-Info"] != "":
			if password == "" {
				return nil, errors.New("the key is encrypted; ssl.key.password is missing")
			}
			//lint:ignore SA1019 the old encryption is weak, and still what openssl genrsa -aes256 wrote
			der, err := x509.DecryptPEMBlock(block, []byte(password))
			if err != nil {
				return nil, errors.New("ssl.key.password does not open the key")
			}
			return pem.EncodeToMemory(&pem.Block{Type: block.Type, Bytes: der}), nil
		}
	}
}
