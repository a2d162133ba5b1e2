package broker

import (
	"crypto/x509"
	"encoding/asn1"
	"encoding/hex"
	"fmt"
	"regexp"
	"strings"
)

// userPrincipal stands before a user's name where ACLs speak of it.
const userPrincipal = "User:"

// anonymous is who a connection belongs to that says nothing about itself.
const anonymous = "ANONYMOUS"

// principalRules turn a distinguished name into a user's name: the first rule that matches all of it (Kafka's
// ssl.principal.mapping.rules, KIP-371).
type principalRules []principalRule

type principalRule struct {
	match   *regexp.Regexp // nil: DEFAULT, the name as it is
	replace string
	fold    func(string) string // nil: none
}

// parsePrincipalRules reads RULE:pattern/replacement/, with L or U behind it, and DEFAULT, parted by commas. $1 to $9 in the
// replacement are what the pattern's groups matched. A slash within is written \/.
func parsePrincipalRules(s string) (principalRules, error) {
	rest := strings.TrimSpace(s)
	if rest == "" {
		return principalRules{{}}, nil
	}
	var rules principalRules
	for rest != "" {
		if after, ok := strings.CutPrefix(rest, "DEFAULT"); ok {
			rules = append(rules, principalRule{})
			rest = after
		} else if after, ok := strings.CutPrefix(rest, "RULE:"); ok {
			pattern, after, ok1 := cutSlash(after)
			replace, after, ok2 := cutSlash(after)
			if !ok1 || !ok2 {
				return nil, fmt.Errorf("rule %q: want RULE:pattern/replacement/", rest)
			}
			match, err := regexp.Compile(`^(?:` + pattern + `)$`)
			if err != nil {
				return nil, fmt.Errorf("rule %q: %w", rest, err)
			}
			r := principalRule{match: match, replace: dollars.ReplaceAllString(replace, "$${$1}")}
			switch {
			case strings.HasPrefix(after, "L"):
				r.fold, after = strings.ToLower, after[1:]
			case strings.HasPrefix(after, "U"):
				r.fold, after = strings.ToUpper, after[1:]
			}
			rules = append(rules, r)
			rest = after
		} else {
			return nil, fmt.Errorf("rule %q: want RULE:pattern/replacement/ or DEFAULT", rest)
		}
		if rest = strings.TrimSpace(rest); rest == "" {
			break
		}
		after, ok := strings.CutPrefix(rest, ",")
		if !ok {
			return nil, fmt.Errorf("rule %q: want a comma", rest)
		}
		rest = strings.TrimSpace(after)
	}
	return rules, nil
}

// dollars finds references to groups as Java writes them.
var dollars = regexp.MustCompile(`\$(\d)`)

// cutSlash cuts s at its first slash that has no backslash before it, and takes such backslashes out.
func cutSlash(s string) (before, after string, ok bool) {
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '\\' && i+1 < len(s) && s[i+1] == '/':
			b.WriteByte('/')
			i++
		case s[i] == '/':
			return b.String(), s[i+1:], true
		default:
			b.WriteByte(s[i])
		}
	}
	return "", "", false
}

// user applies the rules; a name that none of them matches is nobody's.
func (rules principalRules) user(name string) (string, error) {
	for _, r := range rules {
		if r.match == nil {
			return name, nil
		}
		if at := r.match.FindStringSubmatchIndex(name); at != nil {
			user := string(r.match.ExpandString(nil, r.replace, name, at))
			if r.fold != nil {
				user = r.fold(user)
			}
			return user, nil
		}
	}
	return "", fmt.Errorf("no rule matches %q", name)
}

// Attribute types that have a name in RFC 2253, 2.3; others are written by number.
var attributeNames = map[string]string{
	"2.5.4.3": "CN", "2.5.4.7": "L", "2.5.4.8": "ST", "2.5.4.10": "O", "2.5.4.11": "OU", "2.5.4.6": "C", "2.5.4.9": "STREET",
	"0.9.2342.19200300.100.1.25": "DC", "0.9.2342.19200300.100.1.1": "UID",
}

// distinguishedName writes the subject of a certificate as RFC 2253 and Java's X500Principal.getName do: the last part first.
func distinguishedName(cert *x509.Certificate) (string, error) {
	var rdns []asn1.RawValue
	if rest, err := asn1.Unmarshal(cert.RawSubject, &rdns); err != nil || len(rest) > 0 {
		return "", fmt.Errorf("subject of the client's certificate is malformed")
	}
	var b strings.Builder
	for i := len(rdns) - 1; i >= 0; i-- {
		var set []struct {
			Type  asn1.ObjectIdentifier
			Value asn1.RawValue
		}
		if rest, err := asn1.UnmarshalWithParams(rdns[i].FullBytes, &set, "set"); err != nil || len(rest) > 0 {
			return "", fmt.Errorf("subject of the client's certificate is malformed")
		}
		for j, a := range set {
			switch {
			case j > 0:
				b.WriteByte('+')
			case b.Len() > 0:
				b.WriteByte(',')
			}
			name, known := attributeNames[a.Type.String()]
			var text string
			if _, err := asn1.Unmarshal(a.Value.FullBytes, &text); err != nil || !known {
				if !known {
					name = a.Type.String()
				}
				b.WriteString(name + "=#" + hex.EncodeToString(a.Value.FullBytes))
				continue
			}
			b.WriteString(name + "=" + escapeAttribute(text))
		}
	}
	return b.String(), nil
}

// escapeAttribute escapes a value. RFC 2253, 2.4.
func escapeAttribute(s string) string {
	var b strings.Builder
	for i, r := range s {
		if strings.ContainsRune(`,+"\<>;`, r) || i == 0 && (r == '#' || r == ' ') || i == len(s)-1 && r == ' ' {
			b.WriteByte('\\')
		}
		b.WriteRune(r)
	}
	return b.String()
}
