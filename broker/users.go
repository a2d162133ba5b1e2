package broker

import (
	"cmp"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
)

// SASL's mechanisms by their registered names.
const (
	saslPlain    = "PLAIN"
	saslSCRAM256 = "SCRAM-SHA-256"
	saslSCRAM512 = "SCRAM-SHA-512"
)

var saslMechanisms = []string{saslPlain, saslSCRAM256, saslSCRAM512}

// User is somebody who can authenticate by every SASL mechanism and is not kept in the data directory.
type User struct {
	Name     string
	Password string
}

func (c *Config) checkUsers() error {
	seen := make(map[string]bool)
	for _, u := range c.Users {
		switch {
		case u.Name == "" || u.Password == "" || strings.ContainsRune(u.Name+u.Password, 0):
			return inField("Users", fmt.Errorf("%q: name and password must be set, without zero bytes", u.Name))
		case seen[u.Name]:
			return inField("Users", fmt.Errorf("%q is there twice", u.Name))
		}
		seen[u.Name] = true
	}
	return nil
}

// users keeps who can authenticate: those of the configuration, and those that clients add by AlterUserScramCredentials,
// which are in the metadata file. PLAIN takes the password that a SCRAM credential was made of.
type users struct {
	meta   *metadataFile
	secret [32]byte // what the salts of unknown users are made of

	checks chan struct{} // as many passwords are tried at once as there are processors

	change sync.Mutex // one change at a time, from file to table

	passwords map[string]string // of the configuration, by name

	mu     sync.RWMutex
	fixed  map[credentialKey]scramCredential // made of passwords, each when it is first needed, for it takes milliseconds
	stored map[credentialKey]scramCredential
}

type credentialKey struct {
	mechanism scramMechanism
	name      string
}

// kindSCRAM is the metadata file's kind of a user's credentials: by mechanism.
const kindSCRAM = "scram-user"

type storedUser map[string]scramCredential

func openUsers(cfg *Config, meta *metadataFile) (*users, error) {
	us := &users{
		meta:      meta,
		checks:    make(chan struct{}, runtime.GOMAXPROCS(0)),
		passwords: make(map[string]string),
		fixed:     make(map[credentialKey]scramCredential),
		stored:    make(map[credentialKey]scramCredential),
	}
	_, _ = rand.Read(us.secret[:])
	for _, u := range cfg.Users {
		us.passwords[u.Name] = u.Password
	}
	return us, meta.each(kindSCRAM, func(name string, raw json.RawMessage) error {
		var su storedUser
		if err := json.Unmarshal(raw, &su); err != nil {
			return err
		}
		for _, m := range []scramMechanism{scramSHA256, scramSHA512} {
			c, ok := su[m.String()]
			if !ok {
				continue
			}
			if len(c.StoredKey) != m.size() || len(c.ServerKey) != m.size() || c.Iterations < minIterations {
				return errors.New("not a credential of " + m.String())
			}
			us.stored[credentialKey{m, name}] = c
		}
		return nil
	})
}

// credential finds a user's credential. For somebody unknown it makes one up that nobody can authenticate with, the same
// each time, so that a stranger cannot tell who is known.
func (us *users) credential(m scramMechanism, name string) (scramCredential, bool) {
	key := credentialKey{m, name}
	us.mu.RLock()
	c, ok := us.fixed[key]
	password, fixed := us.passwords[name]
	if !fixed {
		c, ok = us.stored[key]
	}
	us.mu.RUnlock()
	if fixed && !ok {
		c, ok = m.fromPassword(password), true
		us.mu.Lock()
		if first, made := us.fixed[key]; made {
			c = first // another exchange made one at the same time, and goes on with it
		} else {
			us.fixed[key] = c
		}
		us.mu.Unlock()
	}
	if !ok {
		h := hmac.New(sha256.New, us.secret[:])
		h.Write([]byte(m.String() + name))
		sum := h.Sum(nil)
		c = scramCredential{Salt: sum[:saltBytes], Iterations: minIterations, StoredKey: make([]byte, m.size()), ServerKey: make([]byte, m.size())}
	}
	return c, ok
}

// storedCredential finds a credential that is in the data directory.
func (us *users) storedCredential(k credentialKey) (scramCredential, bool) {
	us.mu.RLock()
	defer us.mu.RUnlock()
	c, ok := us.stored[k]
	return c, ok
}

// checkPassword says whether a user has this password. It takes milliseconds of a processor, for strangers too.
func (us *users) checkPassword(name, password string) bool {
	us.checks <- struct{}{}
	defer func() { <-us.checks }()
	c, ok := us.credential(scramSHA256, name)
	m := scramSHA256
	if !ok {
		if c2, ok2 := us.credential(scramSHA512, name); ok2 {
			c, ok, m = c2, true, scramSHA512
		}
	}
	return m.verify(&c, password) && ok
}

// credentialChange is one that AlterUserScramCredentials asks for; a nil credential takes the user's away.
type credentialChange struct {
	mechanism  scramMechanism
	credential *scramCredential
}

// alter makes the changes to one user, all or none.
func (us *users) alter(name string, changes []credentialChange) error {
	us.change.Lock()
	defer us.change.Unlock()
	su := make(storedUser)
	us.mu.RLock()
	for k, c := range us.stored {
		if k.name == name {
			su[k.mechanism.String()] = c
		}
	}
	us.mu.RUnlock()
	for _, ch := range changes {
		word := ch.mechanism.String()
		if ch.credential != nil {
			su[word] = *ch.credential
			continue
		}
		if _, ok := su[word]; !ok {
			return refusef(codeResourceNotFound, "user %s has no credential for %s", name, word)
		}
		delete(su, word)
	}
	var err error
	if len(su) == 0 {
		err = us.meta.remove(kindSCRAM, name)
	} else {
		err = us.meta.put(kindSCRAM, name, su)
	}
	if err != nil {
		return err
	}
	us.mu.Lock()
	defer us.mu.Unlock()
	for _, ch := range changes {
		if ch.credential != nil {
			us.stored[credentialKey{ch.mechanism, name}] = *ch.credential
		} else {
			delete(us.stored, credentialKey{ch.mechanism, name})
		}
	}
	return nil
}

// has says whether a credential of a user is kept.
func (us *users) has(name string, m scramMechanism) bool {
	us.mu.RLock()
	defer us.mu.RUnlock()
	_, ok := us.stored[credentialKey{m, name}]
	return ok
}

// list returns which credentials are kept, by name and mechanism.
func (us *users) list() []credentialKey {
	us.mu.RLock()
	keys := slices.Collect(maps.Keys(us.stored))
	us.mu.RUnlock()
	slices.SortFunc(keys, func(a, b credentialKey) int {
		return cmp.Or(cmp.Compare(a.name, b.name), cmp.Compare(a.mechanism, b.mechanism))
	})
	return keys
}
