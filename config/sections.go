package config

import (
	"slices"
	"strings"
)

// Instance names the place.
type Instance struct {
	Name      string `yaml:"name"`
	Subtitle  string `yaml:"subtitle"`
	Copyright string `yaml:"copyright"`
	LogoSVG   string `yaml:"logo_svg"`
}

// Server is how people reach the place.
type Server struct {
	Hostname string `yaml:"hostname"`
	Host     string `yaml:"host"`
	AppDir   string `yaml:"app_dir"`
}

// Listen says on which addresses the process listens, and which proxies in front of it are believed about the client.
type Listen struct {
	HTTP           string   `yaml:"http"`
	SSH            string   `yaml:"ssh"`
	TrustedProxies []string `yaml:"trusted_proxies"` // addresses or CIDR ranges
}

// Lake says how long old generations are kept, how long one reader may hold one, and how many rows a part file has.
type Lake struct {
	Keep            Duration `yaml:"keep"`
	KeepGenerations int      `yaml:"keep_generations"`
	PinMax          Duration `yaml:"pin_max"`
	PartRows        int64    `yaml:"part_rows"`
}

// Quota bounds each analyst's home folder.
type Quota struct {
	Home      Size `yaml:"home"`
	HomeFiles int  `yaml:"home_files"`
}

// SSH bounds connections; Drain is how long running transfers may go on when the process is asked to end.
type SSH struct {
	IdleTimeout    Duration `yaml:"idle_timeout"`
	LoginTimeout   Duration `yaml:"login_timeout"`
	Drain          Duration `yaml:"drain"`
	MaxPerUser     int      `yaml:"max_connections_per_user"`
	MaxPerAddress  int      `yaml:"max_connections_per_address"`
	MaxConnections int      `yaml:"max_connections"`
}

// Schedule says when all tables are synced: a cron line, "every 6h", or nothing.
type Schedule struct {
	Default  string   `yaml:"default"`
	TimeZone string   `yaml:"timezone"`
	Jitter   Duration `yaml:"jitter"` // runs begin up to this much late
}

// Sync bounds a sync.
type Sync struct {
	Workers  int `yaml:"workers"`  // goroutines that convert one table; 0 = cores
	Parallel int `yaml:"parallel"` // tables at a time; 0 = 2
}

// AdminKey is an admin that is made at start when missing.
type AdminKey struct {
	Username     string `yaml:"username"`
	SSHPublicKey string `yaml:"ssh_public_key"`
}

// Deployment is for people to read.
type Deployment struct {
	Method  string `yaml:"method"`
	RepoURL string `yaml:"repo_url"`
	Branch  string `yaml:"branch"`
}

// Auth is about signing in to the portal.
type Auth struct {
	AllowedDomain       string   `yaml:"allowed_domain"` // one or several, separated by commas
	WebappSecretKey     Secret   `yaml:"webapp_secret_key"`
	GoogleClientID      string   `yaml:"google_client_id"`
	GoogleClientSecret  Secret   `yaml:"google_client_secret"`
	OIDCIssuer          string   `yaml:"oidc_issuer"`    // another OpenID provider in Google's place
	OIDCName            string   `yaml:"oidc_name"`      // what its button says
	AllowedEmails       []string `yaml:"allowed_emails"` // single addresses outside the domains
	DisabledProviders   []string `yaml:"disabled_providers"`
	UsernameStripDomain bool     `yaml:"username_strip_domain"`
	UsernamePrefix      string   `yaml:"username_prefix"`
}

// Domains are the e-mail domains of the place, in lower case.
func (a Auth) Domains() (out []string) {
	for d := range strings.SplitSeq(a.AllowedDomain, ",") {
		if d = strings.ToLower(strings.TrimSpace(d)); d != "" {
			out = append(out, d)
		}
	}
	return out
}

// Allows tells whether an e-mail address, in its normal form, may have an account without being invited.
func (a Auth) Allows(email string) bool {
	local, domain, ok := strings.Cut(email, "@")
	if !ok || local == "" {
		return false
	}
	return slices.Contains(a.Domains(), domain) || slices.ContainsFunc(a.AllowedEmails, func(e string) bool { return strings.EqualFold(strings.TrimSpace(e), email) })
}

// Theme overrides the portal's design tokens.
type Theme struct {
	Primary       string `yaml:"primary"`
	PrimaryDark   string `yaml:"primary_dark"`
	PrimaryLight  string `yaml:"primary_light"`
	TextPrimary   string `yaml:"text_primary"`
	TextSecondary string `yaml:"text_secondary"`
	Background    string `yaml:"background"`
	Surface       string `yaml:"surface"`
	Border        string `yaml:"border"`
	FontPrimary   string `yaml:"font_primary"`
	FontURL       string `yaml:"font_url"`
	Radius        string `yaml:"radius"`
	Success       string `yaml:"success"`
	Warning       string `yaml:"warning"`
	Error         string `yaml:"error"`
}

// DataSource chooses the connector of tables that name none, and configures each.
type DataSource struct {
	Type     string   `yaml:"type"`
	CSV      CSV      `yaml:"csv"`
	Keboola  Keboola  `yaml:"keboola"`
	BigQuery BigQuery `yaml:"bigquery"`
}

// CSV is the default for tables of the csv connector; a table's own csv keys win.
type CSV struct {
	Root            string   `yaml:"root"` // folder that paths are relative to and cannot leave
	Delimiter       string   `yaml:"delimiter"`
	Quote           string   `yaml:"quote"`
	Header          *bool    `yaml:"header"`
	Encoding        string   `yaml:"encoding"`
	NullValues      []string `yaml:"null_values"`
	Decimal         string   `yaml:"decimal"`
	DateFormat      string   `yaml:"date_format"`
	TimestampFormat string   `yaml:"timestamp_format"`
	OnBadRow        string   `yaml:"on_bad_row"`
}

// Keboola is a Keboola project.
type Keboola struct {
	StorageToken Secret `yaml:"storage_token"`
	StackURL     string `yaml:"stack_url"`
	ProjectID    string `yaml:"project_id"`
}

// BigQuery is the project that runs and pays for queries, and what a read of a table may take.
type BigQuery struct {
	Project         string `yaml:"project"`
	Location        string `yaml:"location"`
	CredentialsFile string `yaml:"credentials_file"` // key of a service account; "" = application default credentials
	MaxBytes        Size   `yaml:"max_bytes"`        // 0 = no limit
	Endpoint        string `yaml:"endpoint"`
	StorageEndpoint string `yaml:"storage_endpoint"`
}

// OpenMetadata is an optional catalog that descriptions come from.
type OpenMetadata struct {
	URL             string `yaml:"url"`
	Token           Secret `yaml:"token"`
	CacheTTLSeconds int    `yaml:"cache_ttl_seconds"`
}

// Email is how mail is sent.
type Email struct {
	FromAddress    string `yaml:"from_address"`
	FromName       string `yaml:"from_name"`
	SendgridAPIKey Secret `yaml:"sendgrid_api_key"`
	SMTPHost       string `yaml:"smtp_host"`
	SMTPPort       int    `yaml:"smtp_port"`
	SMTPUser       string `yaml:"smtp_user"`
	SMTPPassword   Secret `yaml:"smtp_password"`
	SMTPUseTLS     *bool  `yaml:"smtp_use_tls"`
}

// Desktop is about the desktop app.
type Desktop struct {
	JWTIssuer string `yaml:"jwt_issuer"`
	JWTSecret Secret `yaml:"jwt_secret"`
	URLScheme string `yaml:"url_scheme"`
}

// Telegram is the bot.
type Telegram struct {
	BotToken     Secret `yaml:"bot_token"`
	BotUsername  string `yaml:"bot_username"`
	APIURL       string `yaml:"api_url"` // of the Bot API, when it is not Telegram's own
	DomainSuffix string `yaml:"domain_suffix"`
}

// Scripts are people's notification scripts: whether they run, and within which bounds.
type Scripts struct {
	Enabled     bool     `yaml:"enabled"`
	Interpreter string   `yaml:"interpreter"` // of Python; may be that of a virtual environment
	Folders     []string `yaml:"folders"`     // further folders that scripts may read
	Network     bool     `yaml:"network"`
	Schedule    string   `yaml:"schedule"`
	Parallel    int      `yaml:"parallel"`
	Timeout     Duration `yaml:"timeout"`
	Memory      Size     `yaml:"memory"`
	Processes   int      `yaml:"processes"`
	UID         int      `yaml:"uid"` // first user id of scripts when aida runs as root
}

// Alerts says how long alerts are kept, and how much room their pictures may take.
type Alerts struct {
	Keep     Duration `yaml:"keep"`
	Pictures Size     `yaml:"pictures"`
}

// Jira is the Jira site.
type Jira struct {
	Domain        string `yaml:"domain"`
	Email         string `yaml:"email"`
	APIToken      Secret `yaml:"api_token"`
	WebhookSecret Secret `yaml:"webhook_secret"`
	SLAEmail      string `yaml:"sla_email"`
	SLAAPIToken   Secret `yaml:"sla_api_token"`
	CloudID       string `yaml:"cloud_id"`
}

// AI holds keys of language models.
type AI struct {
	AnthropicAPIKey Secret `yaml:"anthropic_api_key"`
}

// Person is how a user is shown.
type Person struct {
	Name     string `yaml:"name"`
	Initials string `yaml:"initials"`
}

// Dataset is a group of tables that access is given to. One declared here is optional, as in the reference, unless it
// says optional: false; Access is open (default), private or restricted.
type Dataset struct {
	Label       string `yaml:"label"`
	Description string `yaml:"description"`
	SizeHint    string `yaml:"size_hint"`
	Requires    string `yaml:"requires"`
	Access      string `yaml:"access"`
	Optional    *bool  `yaml:"optional"`
}

// Catalog orders the portal's catalog.
type Catalog struct {
	Categories map[string]Category `yaml:"categories"`
	Order      []string            `yaml:"order"`
}

// Category is a catalog category, by folder.
type Category struct {
	Label string `yaml:"label"`
	Icon  string `yaml:"icon"`
}

// Profiler bounds what profiles hold.
type Profiler struct {
	SampleSize             int     `yaml:"sample_size"`
	MaxCategoricalDistinct int     `yaml:"max_categorical_distinct"`
	TopValuesLimit         int     `yaml:"top_values_limit"`
	HistogramBins          int     `yaml:"histogram_bins"`
	SampleRowsLimit        int     `yaml:"sample_rows_limit"`
	SampleValuesLimit      int     `yaml:"sample_values_limit"`
	AlertHighMissingPct    float64 `yaml:"alert_high_missing_pct"`
	AlertMissingPct        float64 `yaml:"alert_missing_pct"`
	AlertImbalancePct      float64 `yaml:"alert_imbalance_pct"`
	AlertHighCardinality   float64 `yaml:"alert_high_cardinality"`
}
