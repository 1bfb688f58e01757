//! A real browser, driven over the WebDriver protocol: Chromium without a window, a new empty profile each time.
//!
//! Source of the commands: W3C WebDriver; `goog/cdp` and `se/log` are chromedriver's own.

use std::io::{BufRead as _, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, ChildStdout, Command, Stdio};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// No page of these tests needs a tenth of it, also on a busy machine.
const LIMIT: Duration = Duration::from_secs(120);

/// One browser at a time: each takes a processor to itself.
static ONE: Mutex<()> = Mutex::new(());

/// Where the accessibility checker is: `tests/all` installs it, and `FLEETMEND_AXE` names another place.
fn axe() -> PathBuf {
    let there = || Path::new(env!("CARGO_MANIFEST_DIR")).join("target/axe/node_modules/axe-core/axe.min.js");
    std::env::var_os("FLEETMEND_AXE").map_or_else(there, PathBuf::from)
}

/// Says what is not tried here, past what captures the output of tests.
fn leave_out(what: &str) {
    let _ = writeln!(std::io::stderr(), "left out: {what}");
}

/// A browser with one page.
pub struct Browser {
    runtime: Runtime,
    client: reqwest::Client,
    session: String,
    driver: Child,
    /// Held open: the driver would end at a closed pipe.
    _said: BufReader<ChildStdout>,
    _profile: TempDir,
    _one: MutexGuard<'static, ()>,
}

/// How a page is looked at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Scheme {
    Light,
    Dark,
}

impl Browser {
    /// Opens one; `None`, which is said, where the machine has none.
    pub fn open() -> Option<Self> {
        let one = ONE.lock().unwrap_or_else(PoisonError::into_inner);
        let mut command = Command::new("chromedriver");
        command.args(["--port=0", "--log-level=SEVERE"]).stdin(Stdio::null()).stderr(Stdio::null());
        let Ok(mut driver) = command.stdout(Stdio::piped()).spawn() else {
            leave_out("pages in a real browser: chromedriver (Debian: chromium-driver) is not installed");
            return None;
        };
        let mut said = BufReader::new(driver.stdout.take().unwrap());
        let port = port_of(&mut said);
        let runtime = Runtime::new().unwrap();
        let client = reqwest::Client::builder().no_proxy().timeout(LIMIT).build().unwrap();
        let profile = tempfile::tempdir().unwrap();
        let base = format!("http://127.0.0.1:{port}/session");
        let answer = runtime.block_on(send(&client, &base, &wanted(profile.path())));
        let session = format!("{base}/{}", answer["sessionId"].as_str().expect("a session"));
        Some(Self { runtime, client, session, driver, _said: said, _profile: profile, _one: one })
    }

    fn ask(&self, what: &str, body: &Value) -> Value {
        self.runtime.block_on(send(&self.client, &format!("{}/{what}", self.session), body))
    }

    fn get(&self, what: &str) -> Value {
        self.runtime.block_on(async {
            let answer = self.client.get(format!("{}/{what}", self.session)).send().await.unwrap();
            answer.json::<Value>().await.unwrap()["value"].clone()
        })
    }

    /// A command of Chromium's own protocol.
    pub fn devtools(&self, command: &str, parameters: &Value) -> Value {
        self.ask("goog/cdp/execute", &json!({"cmd": command, "params": parameters}))
    }

    /// How wide, and in which colours, pages are shown from here on.
    pub fn looks(&self, width: u32, height: u32, scheme: Scheme) {
        let size = json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.devtools("Emulation.setDeviceMetricsOverride", &size);
        let scheme = if scheme == Scheme::Dark { "dark" } else { "light" };
        let features = json!({"features": [{"name": "prefers-color-scheme", "value": scheme}]});
        self.devtools("Emulation.setEmulatedMedia", &features);
    }

    /// Opens a page and waits until it is loaded.
    pub fn go(&self, address: &str) {
        self.ask("url", &json!({"url": address}));
    }

    /// Opens a file as a page.
    pub fn go_file(&self, path: &Path) {
        self.go(&format!("file://{}", path.display()));
    }

    /// Seconds of a processor that the page has cost since it was opened; what others do on this machine counts not.
    pub fn cost(&self) -> f64 {
        let metrics = self.devtools("Performance.getMetrics", &json!({}));
        let of = |name: &str| {
            metrics["metrics"].as_array().unwrap().iter().find(|one| one["name"] == name).unwrap()["value"].as_f64()
        };
        of("TaskDuration").unwrap()
    }

    /// From here on [`Self::cost`] counts.
    pub fn counts_cost(&self) {
        self.devtools("Performance.enable", &json!({"timeDomain": "threadTicks"}));
    }

    /// What a piece of script returns.
    pub fn eval(&self, script: &str) -> Value {
        self.ask("execute/sync", &json!({"script": script, "args": []}))
    }

    /// As [`Self::eval`], of a text.
    pub fn text(&self, script: &str) -> String {
        self.eval(script).as_str().unwrap_or_default().to_owned()
    }

    /// Looks until a piece of script is true.
    #[track_caller]
    pub fn until(&self, script: &str) {
        let looks = 600;
        for _ in 0..looks {
            if self.eval(script) == json!(true) {
                return;
            }
            self.runtime.block_on(async { tokio::time::sleep(Duration::from_millis(50)).await });
        }
        panic!("it did not come about: {script}\n{}", self.text("return document.body.innerText.slice(0, 4000)"));
    }

    /// Presses keys one after another; those without a letter by WebDriver's code points.
    pub fn press(&self, keys: &str) {
        let strokes = keys.chars().flat_map(|key| {
            [json!({"type": "keyDown", "value": key.to_string()}), json!({"type": "keyUp", "value": key.to_string()})]
        });
        let strokes: Vec<Value> = strokes.collect();
        self.ask("actions", &json!({"actions": [{"type": "key", "id": "keyboard", "actions": strokes}]}));
    }

    /// A picture of what is seen, kept where `FLEETMEND_SHOTS` says.
    pub fn shot(&self, name: &str) {
        if let Some(folder) = std::env::var_os("FLEETMEND_SHOTS") {
            let picture = decode(self.get("screenshot").as_str().unwrap());
            std::fs::write(Path::new(&folder).join(format!("{name}.png")), picture).unwrap();
        }
    }

    /// The page on paper, as the bytes of a PDF.
    pub fn print(&self, name: &str) -> Vec<u8> {
        let paper = json!({"background": true, "shrinkToFit": true});
        let pdf = decode(self.ask("print", &paper).as_str().unwrap());
        if let Some(folder) = std::env::var_os("FLEETMEND_SHOTS") {
            std::fs::write(Path::new(&folder).join(format!("{name}.pdf")), &pdf).unwrap();
        }
        pdf
    }

    /// Fails when the page complained, or asked for anything outside of what begins with `allowed`.
    #[track_caller]
    pub fn was_quiet(&self, allowed: &str) {
        let complaints = self.ask("se/log", &json!({"type": "browser"}));
        assert_eq!(complaints, json!([]), "the console");
        let log = self.ask("se/log", &json!({"type": "performance"}));
        for entry in log.as_array().unwrap() {
            let message: Value = serde_json::from_str(entry["message"].as_str().unwrap()).unwrap();
            let message = &message["message"];
            if message["method"] == "Network.requestWillBeSent" {
                let address = message["params"]["request"]["url"].as_str().unwrap();
                let inside =
                    ["data:", "blob:", "about:", "chrome:", allowed].iter().any(|one| address.starts_with(one));
                assert!(inside, "the page asked for {address}");
            }
        }
    }

    /// Fails when the accessibility checker finds a serious fault in the page as it stands.
    #[track_caller]
    pub fn is_accessible(&self, what: &str) {
        let Ok(checker) = std::fs::read_to_string(axe()) else {
            leave_out("axe-core on pages: npm could not install it");
            return;
        };
        self.eval(&format!("{checker}; return 1"));
        let script = "const done = arguments[0];\
            axe.run(document, {resultTypes: ['violations'], runOnly: ['wcag2a', 'wcag2aa', 'wcag21a', 'wcag21aa', 'best-practice']})\
            .then(found => done(found.violations.filter(one => ['serious', 'critical'].includes(one.impact))\
            .map(one => one.id + ': ' + one.help + ': ' + one.nodes.slice(0, 3).map(node => node.html.slice(0, 200) + ' ' + node.failureSummary).join(' | '))),\
            error => done(['' + error]));";
        let found = self.ask("execute/async", &json!({"script": script, "args": []}));
        assert_eq!(found, json!([]), "{what}");
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.runtime.block_on(async { self.client.delete(&self.session).send().await });
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

fn port_of(said: &mut BufReader<ChildStdout>) -> u16 {
    let mut line = String::new();
    while said.read_line(&mut line).is_ok_and(|read| read > 0) {
        if let Some((_, port)) = line.trim_end().trim_end_matches('.').rsplit_once("on port ")
            && line.contains("started successfully")
        {
            return port.parse().expect("a port");
        }
        line.clear();
    }
    panic!("chromedriver ended before it listened");
}

fn wanted(profile: &Path) -> Value {
    let folder = format!("--user-data-dir={}", profile.display());
    let flags = [
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--disable-quic",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--disable-dev-shm-usage",
        "--hide-scrollbars",
        folder.as_str(),
    ];
    json!({"capabilities": {"alwaysMatch": {
        "browserName": "chrome",
        "goog:chromeOptions": {"args": flags},
        "goog:loggingPrefs": {"browser": "ALL", "performance": "ALL"},
        "timeouts": {"script": LIMIT.as_millis(), "pageLoad": LIMIT.as_millis()},
    }}})
}

async fn send(client: &reqwest::Client, url: &str, body: &Value) -> Value {
    let answer = client.post(url).json(body).send().await.expect("chromedriver answers");
    let is_well = answer.status().is_success();
    let mut value: Value = answer.json().await.expect("chromedriver speaks JSON");
    assert!(is_well, "{url}: {}", value["value"]["message"].as_str().unwrap_or_default());
    value["value"].take()
}

/// Source: RFC 4648, section 4.
fn decode(text: &str) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(text.len() / 4 * 3);
    let (mut word, mut bits) = (0_u32, 0);
    for c in text.bytes() {
        let six = match c {
            b'A'..=b'Z' => c - b'A',
            b'a'..=b'z' => c - b'a' + 26,
            b'0'..=b'9' => c - b'0' + 52,
            b'+' => 62,
            b'/' => 63,
            _ => continue,
        };
        word = word << 6 | u32::from(six);
        bits += 6;
        if bits >= 8 {
            bits -= 8;
            bytes.push(u8::try_from(word >> bits & 0xff).unwrap());
        }
    }
    bytes
}
