package main

import "regexp"

// secretParameter matches the value of a property that holds a secret, in an
// endpoint's URL or in a line of a properties file.
var secretParameter = regexp.MustCompile(`(?i)((?:password|secret|token|jaas\.config|keystore\.key)\s*[=:]\s*)([^&\n]+)`)

// userInfo matches the password in scheme://user:password@host.
var userInfo = regexp.MustCompile(`(://[^/@:\s]*:)[^/@\s]+@`)

// redact masks the secrets in a value that is printed or logged.
func redact(s string) string {
	return userInfo.ReplaceAllString(secretParameter.ReplaceAllString(s, "${1}***"), "${1}***@")
}
