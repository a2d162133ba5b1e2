package broker

import (
	"bytes"
	"crypto/hmac"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"crypto/sha512"
	"crypto/subtle"
	"encoding/base64"
	"errors"
	"fmt"
	"hash"
	"strconv"
	"strings"
)

// scramMechanism is one of SCRAM's two, by Kafka's numbers (KIP-554).
type scramMechanism int8

const (
	scramSHA256 scramMechanism = 1
	scramSHA512 scramMechanism = 2
)

// Iterations Kafka allows, and the size of salts and nonces made here.
const (
	minIterations = 4096
	maxIterations = 16384
	saltBytes     = 24
	maxSaltBytes  = 1024

	maxSaltedBytes = 1024 // hashed once more before it is kept, so that its length says nothing
)

func (m scramMechanism) valid() bool { return m == scramSHA256 || m == scramSHA512 }

func (m scramMechanism) String() string {
	if m == scramSHA512 {
		return saslSCRAM512
	}
	return saslSCRAM256
}

func (m scramMechanism) hash() func() hash.Hash {
	if m == scramSHA512 {
		return sha512.New
	}
	return sha256.New
}

func (m scramMechanism) size() int { return m.hash()().Size() }

func (m scramMechanism) hmac(key []byte, text string) []byte {
	h := hmac.New(m.hash(), key)
	h.Write([]byte(text))
	return h.Sum(nil)
}

func (m scramMechanism) sum(b []byte) []byte {
	h := m.hash()()
	h.Write(b)
	return h.Sum(nil)
}

// scramCredential is what is kept of a password. RFC 5802, 3: it proves that somebody knows the password and does not tell it.
type scramCredential struct {
	Salt       []byte `json:"salt"`
	Iterations int    `json:"iterations"`
	StoredKey  []byte `json:"storedKey"`
	ServerKey  []byte `json:"serverKey"`
}

// fromSalted makes a credential of a password that the client has salted and hashed.
func (m scramMechanism) fromSalted(salted, salt []byte, iterations int) scramCredential {
	return scramCredential{
		Salt: bytes.Clone(salt), Iterations: iterations,
		StoredKey: m.sum(m.hmac(salted, "Client Key")),
		ServerKey: m.hmac(salted, "Server Key"),
	}
}

func (m scramMechanism) salted(password string, salt []byte, iterations int) []byte {
	key, err := pbkdf2.Key(m.hash(), password, salt, iterations, m.size())
	if err != nil {
		panic(fmt.Sprintf("pbkdf2: %v", err)) // only for a length or a hash that nobody asks for
	}
	return key
}

func (m scramMechanism) fromPassword(password string) scramCredential {
	salt := make([]byte, saltBytes)
	_, _ = rand.Read(salt)
	return m.fromSalted(m.salted(password, salt, minIterations), salt, minIterations)
}

// verify says whether a password is the one the credential was made of.
func (m scramMechanism) verify(c *scramCredential, password string) bool {
	salted := m.salted(password, c.Salt, c.Iterations)
	return subtle.ConstantTimeCompare(m.sum(m.hmac(salted, "Client Key")), c.StoredKey) == 1
}

var errCredentials = errors.New("invalid credentials")

// scramExchange is the server's side of SCRAM. RFC 5802, 5.
type scramExchange struct {
	users     *users
	mechanism scramMechanism

	name        string
	credential  scramCredential
	known       bool
	gs2         string
	nonce       string
	authMessage string // as far as it is known: the first two of its three parts
	final       bool   // the client's first message is through
}

func (x *scramExchange) user() string { return x.name }

func (x *scramExchange) next(token []byte) ([]byte, bool, error) {
	if !x.final {
		answer, err := x.first(string(token))
		x.final = true
		return answer, false, err
	}
	answer, err := x.last(string(token))
	return answer, true, err
}

// first answers the client's first message. Somebody unknown gets a salt too, always the same one, and fails in the end.
func (x *scramExchange) first(msg string) ([]byte, error) {
	// RFC 5802, 7: gs2-cbind-flag "," [authzid] "," "n=" user "," "r=" nonce [extensions]
	parts := strings.SplitN(msg, ",", 5)
	if len(parts) < 4 {
		return nil, errors.New("malformed first message")
	}
	if parts[0] != "n" && parts[0] != "y" {
		return nil, errors.New("channel binding is not supported")
	}
	name, ok := strings.CutPrefix(parts[2], "n=")
	nonce, ok2 := strings.CutPrefix(parts[3], "r=")
	if !ok || !ok2 || nonce == "" {
		return nil, errors.New("malformed first message")
	}
	name, ok = unescapeName(name)
	if !ok || name == "" {
		return nil, errors.New("malformed user name")
	}
	if a := parts[1]; a != "" {
		if a, ok = unescapeName(strings.TrimPrefix(a, "a=")); !ok || a != name {
			return nil, errors.New("a user may not act for another")
		}
	}
	if len(parts) == 5 && strings.Contains(parts[4], "tokenauth=true") {
		return nil, errors.New("delegation tokens are not supported")
	}
	var random [saltBytes]byte
	_, _ = rand.Read(random[:])
	x.name = name
	x.credential, x.known = x.users.credential(x.mechanism, name)
	x.gs2 = parts[0] + "," + parts[1] + ","
	x.nonce = nonce + base64.RawStdEncoding.EncodeToString(random[:])
	answer := "r=" + x.nonce + ",s=" + base64.StdEncoding.EncodeToString(x.credential.Salt) + ",i=" + strconv.Itoa(x.credential.Iterations)
	x.authMessage = msg[len(x.gs2):] + "," + answer
	return []byte(answer), nil
}

// last checks the proof and answers with the server's own.
func (x *scramExchange) last(msg string) ([]byte, error) {
	// RFC 5802, 7: "c=" gs2 header in base64 "," "r=" nonce [extensions] "," "p=" proof
	at := strings.LastIndex(msg, ",p=")
	if at < 0 {
		return nil, errors.New("malformed final message")
	}
	proof, err := base64.StdEncoding.DecodeString(msg[at+3:])
	parts := strings.Split(msg[:at], ",")
	if err != nil || len(parts) < 2 {
		return nil, errors.New("malformed final message")
	}
	// librdkafka up to 2.1 puts its own nonce before the whole one once more. Kafka looks at the end alone, and so must this.
	if parts[0] != "c="+base64.StdEncoding.EncodeToString([]byte(x.gs2)) || !strings.HasPrefix(parts[1], "r=") || !strings.HasSuffix(parts[1], x.nonce) {
		return nil, errors.New("the final message belongs to another exchange")
	}
	m := x.mechanism
	message := x.authMessage + "," + msg[:at]
	signature := m.hmac(x.credential.StoredKey, message)
	if len(proof) != len(signature) || !x.known {
		return nil, errCredentials
	}
	subtle.XORBytes(proof, proof, signature) // the client's key, if it is right
	if subtle.ConstantTimeCompare(m.sum(proof), x.credential.StoredKey) != 1 {
		return nil, errCredentials
	}
	return []byte("v=" + base64.StdEncoding.EncodeToString(m.hmac(x.credential.ServerKey, message))), nil
}

// unescapeName reads a user's name. RFC 5802, 5.1: a comma is =2C, an equals sign =3D, and nothing else is escaped.
func unescapeName(s string) (string, bool) {
	out := strings.ReplaceAll(strings.ReplaceAll(s, "=2C", ","), "=3D", "=")
	return out, strings.Count(s, "=") == strings.Count(s, "=2C")+strings.Count(s, "=3D")
}

// plainExchange is the server's side of PLAIN. RFC 4616.
type plainExchange struct {
	users *users
	name  string
}

func (x *plainExchange) user() string { return x.name }

func (x *plainExchange) next(token []byte) ([]byte, bool, error) {
	parts := strings.Split(string(token), "\x00")
	if len(parts) != 3 || parts[1] == "" || parts[2] == "" {
		return nil, true, errors.New("malformed message")
	}
	if x.name = parts[1]; parts[0] != "" && parts[0] != x.name {
		return nil, true, errors.New("a user may not act for another")
	}
	if !x.users.checkPassword(x.name, parts[2]) {
		return nil, true, errCredentials
	}
	return []byte{}, true, nil
}
