'use strict';
// Everything that comes from outside is put on the page as text, never as markup.
(() => {
  const one = what => document.querySelector(what);
  const make = (kind, words, look) => {
    const made = document.createElement(kind);
    if (words !== undefined && words !== null) made.textContent = words;
    if (look) made.className = look;
    return made;
  };
  const put = (into, ...children) => { into.append(...children); return into; };

  const STATES = [
    ['quarantined', '✗', 'failed: stays out of service'], ['draining', '→', 'instances leave'], ['updating', '↑', 'packages are updated'],
    ['rebooting', '↻', 'reboots'], ['verifying', '?', 'is proven'], ['waiting', '·', 'not begun'], ['done', '✓', 'proven and in service'],
    ['skipped', '–', 'left alone'],
  ];
  const sign = Object.fromEntries(STATES.map(([state, mark]) => [state, mark]));
  const MOST_LINES = 500, NAMED_HOSTS = 120;

  let run = null, seq = -1, cells = new Map(), buttons = new Map(), log = [], failures = [], shown = null, token = null;
  let ahead = 0; // how far the server's clock is ahead of ours, in milliseconds

  const number = many => many.toLocaleString('en');
  const count = (many, noun) => number(many) + ' ' + noun + (many === 1 ? '' : 's');
  const span = seconds => {
    const s = Math.max(0, Math.round(seconds)), pair = (a, x, b, y) => b ? a + ' ' + x + ' ' + b + ' ' + y : a + ' ' + x;
    if (s < 60) return s + ' s';
    if (s < 600) return pair(Math.floor(s / 60), 'min', s % 60, 's');
    if (s < 3600) return Math.floor(s / 60) + ' min';
    if (s < 86400) return pair(Math.floor(s / 3600), 'h', Math.floor(s % 3600 / 60), 'min');
    return pair(Math.floor(s / 86400), 'd', Math.floor(s % 86400 / 3600), 'h');
  };
  const now = () => Date.now() + ahead;
  const since = at => span((now() - Date.parse(at)) / 1000);
  const two = value => String(value).padStart(2, '0');
  const clock = at => { const day = new Date(at); return two(day.getHours()) + ':' + two(day.getMinutes()) + ':' + two(day.getSeconds()); };
  const moment = at => {
    const day = new Date(at), today = new Date(now()).toDateString() === day.toDateString();
    return (today ? '' : day.toLocaleDateString('en', {weekday: 'short', day: 'numeric', month: 'short'}) + ' ') + clock(at).slice(0, 5);
  };
  const time = at => { const made = make('time', clock(at)); made.dateTime = at; made.title = at; return made; };

  // ---- the head: where the run stands ----
  const words = {
    running: ['', '… Running'], paused: ['mind', '! Paused'], stopped: ['mind', '! Stopped'], interrupted: ['bad', '✗ Interrupted: nobody runs it'],
    done: ['good', '✓ Done'], 'done-with-failures': ['bad', '✗ Done, with failures'], abandoned: ['mind', '! Abandoned'],
  };
  const standing = head => {
    let [look, word] = words[head.outcome] || ['', head.outcome];
    const said = [];
    if (head.trouble) said.push('the journal cannot be read just now: ' + head.trouble);
    if (head.paused_because) said.push(head.paused_because);
    if (head.outcome === 'running' && head.gate === 'waiting') { look = 'mind'; word = '! Waits for approval'; said.push('the canary hosts are done; look at them, then approve'); }
    if (head.outcome === 'running' && head.gate === 'soaking') said.push('the canary hosts are watched until ' + moment(head.gate_opens));
    if (head.outcome === 'interrupted' || head.outcome === 'stopped') said.push('`fleetmend resume ' + run.run + '` goes on');
    if (head.runner && head.outcome === 'running') said.push('on ' + head.runner.host + ', process ' + head.runner.pid);
    if (head.ended) said.push('ended ' + moment(head.ended));
    const banner = one('#banner');
    banner.className = 'banner ' + look;
    banner.children[0].className = look;
    banner.children[0].textContent = word;
    banner.children[1].textContent = said.join('; ');
    document.title = (head.hosts.quarantined ? head.hosts.quarantined + ' ✗ ' : '') + head.hosts.done + '/' + head.hosts.total + ' ' + run.remedy + ' in ' + run.region;
  };
  const cards = head => {
    const list = [
      [head.hosts.done + ' / ' + head.hosts.total, 'hosts proven and in service'],
      [number(head.hosts.active), 'hosts worked on'],
      [number(head.migrations.done), 'instances moved; ' + head.migrations.active + ' on their way'],
      [number(head.hosts.quarantined), 'hosts quarantined'],
      [number(head.migrations.failed), 'moves failed; ' + head.migrations.retried + ' tried again'],
    ];
    if (head.started) list.splice(1, 0, [span(((head.ended ? Date.parse(head.ended) : now()) - Date.parse(head.started)) / 1000), head.ended ? 'from begin to end' : 'since it began; planned: ' + span(run.planned_s)]);
    if (head.eta) {
      list.splice(2, 0, ['≈ ' + moment(head.eta.likely), 'likely end; between ' + moment(head.eta.earliest) + ' and ' + moment(head.eta.latest) + ': ' + head.eta.because]);
    }
    one('#cards').replaceChildren(...list.map(([big, small]) => put(make('li'), make('b', big), document.createTextNode(small))));
  };
  const waits = head => {
    const items = head.waits.map(group => put(make('li'),
      make('span', group.named.join(', ') + (group.more ? ' and ' + group.more + ' more' : '')), make('span', group.reason)));
    one('#waits').replaceChildren(...(items.length ? items : [make('li', 'nothing waits')]));
  };
  const legend = () => {
    const counts = {};
    cells.forEach(cell => { counts[cell.state] = (counts[cell.state] || 0) + 1; });
    one('#legend').replaceChildren(...STATES.filter(([state]) => counts[state]).map(([state, mark, meaning]) => {
      const item = put(make('li'), make('i', mark, state), document.createTextNode(number(counts[state]) + ' ' + state));
      item.title = meaning;
      return item;
    }));
  };
  const controls = head => {
    const can = {approve: head.gate === 'waiting' || head.gate === 'soaking', pause: head.outcome === 'running', continue: head.outcome === 'paused',
      stop: head.outcome === 'running' || head.outcome === 'paused'};
    one('#controls').hidden = !token;
    document.querySelectorAll('#controls button').forEach(button => { button.hidden = !can[button.dataset.ask]; });
  };

  // ---- the map ----
  const dress = (button, cell) => {
    button.className = 'cell ' + cell.state + (cell.canary ? ' canary' : '') + (matches(cell) ? '' : ' miss');
    button.firstChild.textContent = sign[cell.state] || ' ';
    const said = cell.host + ', ' + cell.state + (cell.canary ? ', canary' : '') + (cell.moves ? ', ' + cell.moved + ' of ' + cell.moves + ' moved' : '') +
      (cell.why ? ': ' + cell.why : '');
    button.setAttribute('aria-label', said);
    button.title = said + (cell.doing.length ? '\n' + cell.doing.join('\n') : '');
    button.setAttribute('aria-pressed', String(shown === cell.host));
  };
  const asked = () => one('#find').value.trim().toLowerCase();
  const matches = cell => { const text = asked(); return !text || cell.host.toLowerCase().includes(text) || cell.state.startsWith(text); };
  const draw = () => {
    const zones = new Map();
    cells.forEach(cell => {
      const zone = cell.zone || 'no zone', rack = cell.rack || '';
      if (!zones.has(zone)) zones.set(zone, new Map());
      const racks = zones.get(zone);
      if (!racks.has(rack)) racks.set(rack, []);
      racks.get(rack).push(cell);
    });
    const compare = new Intl.Collator('en', {numeric: true}).compare;
    const map = one('#map');
    map.className = cells.size > NAMED_HOSTS ? 'many' : '';
    buttons = new Map();
    map.replaceChildren(...[...zones].sort((a, b) => compare(a[0], b[0])).map(([zone, racks]) => {
      const box = make('div', null, 'zone'), heads = make('h3', zone);
      const many = [...racks.values()].reduce((sum, rack) => sum + rack.length, 0);
      box.append(put(heads, make('span', count(many, 'host'))));
      [...racks].sort((a, b) => compare(a[0], b[0])).forEach(([rack, hosts]) => {
        const line = make('div', null, 'rack');
        if (rack) line.append(make('span', rack));
        hosts.sort((a, b) => compare(a.host, b.host)).forEach(cell => {
          const button = put(make('button'), make('i'), make('b', cell.host));
          button.type = 'button';
          button.tabIndex = -1;
          button.dataset.host = cell.host;
          dress(button, cell);
          buttons.set(cell.host, button);
          line.append(button);
        });
        box.append(line);
      });
      return box;
    }));
    const first = map.querySelector('button');
    if (first) first.tabIndex = 0;
  };
  const map = one('#map');
  map.addEventListener('click', event => { const cell = event.target.closest('.cell'); if (cell) open(cell.dataset.host); });
  map.addEventListener('keydown', event => {
    const all = [...map.querySelectorAll('.cell')], at = all.indexOf(document.activeElement);
    if (at < 0) return;
    const box = all[at].getBoundingClientRect();
    const beyond = way => {
      const rows = all.filter(other => way * (other.getBoundingClientRect().top - box.top) > 2);
      const near = other => { const place = other.getBoundingClientRect(); return Math.abs(place.top - box.top) * 1000 + Math.abs(place.left - box.left); };
      return rows.reduce((best, other) => !best || near(other) < near(best) ? other : best, null);
    };
    const to = {ArrowRight: () => all[at + 1], ArrowLeft: () => all[at - 1], ArrowDown: () => beyond(1), ArrowUp: () => beyond(-1), Home: () => all[0], End: () => all[all.length - 1]}[event.key];
    const next = to && to();
    if (!next) return;
    event.preventDefault();
    all[at].tabIndex = -1;
    next.tabIndex = 0;
    next.focus();
  });
  one('#find').addEventListener('input', () => cells.forEach((cell, host) => dress(buttons.get(host), cell)));
  one('#find').addEventListener('keydown', event => {
    if (event.key === 'Enter') { const found = [...cells.values()].find(matches); if (found) open(found.host); }
    if (event.key === 'Escape') { event.target.value = ''; event.target.dispatchEvent(new Event('input')); }
  });
  document.addEventListener('keydown', event => {
    if (event.key === '/' && document.activeElement.tagName !== 'INPUT') { event.preventDefault(); one('#find').focus(); }
    if (event.key === 'Escape' && shown && document.activeElement.tagName !== 'INPUT') close();
  });

  // ---- one host ----
  const table = (heads, rows) => {
    const made = make('table'), head = made.createTHead().insertRow(), body = made.createTBody();
    heads.forEach(name => { const cell = make('th', name); cell.scope = 'col'; head.append(cell); });
    rows.forEach(cells => { const row = body.insertRow(); cells.forEach(cell => { const place = row.insertCell(); place.append(cell instanceof Node ? cell : document.createTextNode(cell ?? '')); }); });
    return made;
  };
  const marked = status => {
    const look = {succeeded: ['good', '✓ '], failed: ['bad', '✗ '], retrying: ['mind', '! '], running: ['', '… ']}[status] || ['soft', ''];
    return make('span', look[1] + status, look[0]);
  };
  const evidence = verdict => table(['', 'requirement', 'found', 'in'], verdict.evidence.map(piece =>
    [make('span', piece.outcome, {pass: 'good', fail: 'bad', warn: 'mind', unknown: 'mind'}[piece.outcome] || 'soft'), piece.requirement, piece.found || 'nothing', piece.source]));
  const folded = (name, content, open) => { const made = put(make('details'), make('summary', name), content); made.open = open; return made; };
  const bar = percent => { const made = make('progress'); made.max = 100; made.value = percent; made.setAttribute('aria-label', 'moved'); return put(make('span'), made, document.createTextNode(' ' + percent + ' %')); };
  const show = (detail, focus) => {
    const aside = one('#detail'), cell = detail.cell, was = new Set([...aside.querySelectorAll('details[open] > summary')].map(summary => summary.textContent.split(' ')[0])), top = aside.scrollTop, fresh = aside.dataset.host !== cell.host;
    aside.dataset.host = cell.host;
    const shut = make('button', 'Close', 'close');
    shut.type = 'button';
    shut.addEventListener('click', close);
    const title = make('h2', cell.host);
    title.id = 'detail-title';
    const parts = [shut, title];
    parts.push(put(make('p'), make('span', (sign[cell.state] || '') + ' ' + cell.state, 'tag'),
      document.createTextNode(' since ' + moment(cell.since) + ', ' + since(cell.since) + '; number ' + cell.order + (cell.canary ? ', canary' : '') + (cell.zone ? '; ' + cell.zone : '') + (cell.rack ? ', ' + cell.rack : ''))));
    if (cell.why) parts.push(make('p', cell.why, 'bad'));
    parts.push(make('p', 'planned out of service +' + span(detail.planned_start_s) + ' to +' + span(detail.planned_finish_s) + (detail.story.took_s !== null ? '; took ' + span(detail.story.took_s) + ' so far' : ''), 'soft'));
    if (token && (detail.can_skip || detail.can_retry)) {
      const button = make('button', detail.can_skip ? 'Skip this host' : 'Retry this host');
      button.type = 'button';
      button.addEventListener('click', () => sure(button, () => ask(detail.can_skip ? 'skip' : 'retry', cell.host)));
      parts.push(put(make('p'), button));
    }
    detail.waits.forEach(group => parts.push(make('p', 'waits ' + group.reason + (group.named.length && group.named[0] !== cell.host ? ' (' + group.named.join(', ') + (group.more ? ' and ' + group.more + ' more' : '') + ')' : ''), 'mind')));
    if (detail.moves.length) {
      const done = detail.moves.filter(move => move.status === 'succeeded').length;
      parts.push(make('h3', 'Moves: ' + done + ' of ' + detail.moves.length));
      parts.push(table(['instance', 'to', '', ''], detail.moves.map(move => [put(make('span', move.name), document.createElement('br'), make('span', move.instance, 'id soft')), move.to || '', marked(move.status), move.percent === null ? '' : bar(move.percent)])));
    }
    if (detail.stays.length) parts.push(make('h3', count(detail.stays.length, 'instance') + ' planned to stay'), table(['instance', 'project'], detail.stays.map(stay => [stay.name, stay.project])));
    if (detail.steps.length) {
      parts.push(make('h3', 'Steps'));
      parts.push(table(['step', '', 'says'], detail.steps.map(step => [step.what + (step.attempt > 1 ? ', attempt ' + step.attempt : ''), marked(step.status),
        (step.again ? 'again at ' + clock(step.again) + ': ' : '') + (step.says || (step.since ? 'for ' + since(step.since) : ''))])));
    }
    const after = detail.story.after, keep = name => fresh ? name === 'Evidence' && !detail.steps.length : was.has(name);
    parts.push(folded('Evidence ' + (after ? 'after the reboot: ' + after.verdict : 'before: ' + detail.story.before.verdict), evidence(after || detail.story.before), keep('Evidence')));
    if (detail.story.packages.length) parts.push(folded('Packages changed: ' + detail.story.packages.length, table(['package', 'before', 'after'], detail.story.packages.map(one => [one.name, one.before.join(', '), one.after.join(', ')])), keep('Packages')));
    parts.push(folded('Log of ' + count(detail.log.length, 'event'), table(['at', 'what'], detail.log.map(line => [time(line.at), make('span', line.text, line.weight)])), keep('Log')));
    aside.replaceChildren(...parts);
    aside.hidden = false;
    one('.columns').classList.add('open');
    aside.scrollTop = fresh ? 0 : top;
    if (focus) aside.focus({preventScroll: innerWidth > 1120});
  };
  let looking = false, again = false;
  const look = async focus => {
    if (looking) { again = true; return; }
    looking = true;
    const host = shown;
    try {
      const answer = await fetch('api/host/' + encodeURIComponent(host));
      if (answer.ok && shown === host) show(await answer.json(), focus);
    } catch { /* the line is down; it is said at the top */ }
    looking = false;
    if (again) { again = false; if (shown) look(false); }
  };
  const open = host => {
    const before = shown;
    shown = host;
    [before, host].forEach(name => { if (cells.has(name)) dress(buttons.get(name), cells.get(name)); });
    look(true);
  };
  const close = () => {
    const host = shown;
    shown = null;
    one('#detail').hidden = true;
    one('.columns').classList.remove('open');
    const button = buttons.get(host);
    if (button) { dress(button, cells.get(host)); button.tabIndex = 0; button.focus(); }
  };

  // ---- log and failures ----
  const line = entry => {
    const who = entry.host ? make('button', entry.host) : make('span', 'run', 'soft');
    if (entry.host) { who.type = 'button'; who.className = 'host'; who.addEventListener('click', () => open(entry.host)); }
    return put(make('li'), time(entry.at), put(make('span'), who), make('span', entry.text, entry.weight === 'bad' ? 'bad' : entry.weight === 'good' ? 'good' : ''));
  };
  const tell = lines => {
    const list = one('#log');
    lines.filter(entry => entry.weight !== 'detail').forEach(entry => list.prepend(line(entry)));
    while (list.children.length > MOST_LINES) list.lastChild.remove();
  };
  const fail = () => {
    const section = one('#failures');
    section.hidden = !failures.length;
    section.querySelector('ol').replaceChildren(...failures.slice(-8).reverse().map(entry => line({...entry, weight: 'bad'})));
  };

  // ---- following ----
  const say = (words, look) => { const place = one('#line'); place.textContent = words; place.className = 'tag ' + look; };
  const head = told => {
    seq = told.seq;
    ahead = Date.parse(told.now) - Date.now();
    run.head = told;
    standing(told); cards(told); waits(told); controls(told); legend();
  };
  let beginning = null;
  const begin = () => {
    beginning = beginning || (async () => {
      const answer = await fetch('api/run');
      const whole = await answer.json();
      run = whole;
      one('#title').textContent = whole.remedy + ' in ' + whole.region;
      one('#subtitle').textContent = 'run ' + whole.run + ' of rollout ' + whole.rollout + (whole.left_alone ? '; ' + count(whole.left_alone, 'host') + ' left alone by the plan' : '');
      cells = new Map(whole.cells.map(cell => [cell.host, cell]));
      failures = whole.failures;
      one('#log').replaceChildren();
      draw(); head(whole.head); tell(whole.log); fail();
      if (shown) look(false);
    })().catch(() => say('cannot be reached', 'bad')).finally(() => { beginning = null; });
    return beginning;
  };
  const change = told => {
    if (!run || told.after > seq) { begin(); return; }
    if (told.head.seq < seq) return;
    const known = seq;
    told.cells.forEach(cell => { cells.set(cell.host, cell); const button = buttons.get(cell.host); if (button) dress(button, cell); });
    if (told.failures) { failures = told.failures; fail(); }
    head(told.head);
    tell(told.log.filter(entry => entry.seq > known));
    if (shown && told.cells.some(cell => cell.host === shown)) look(false);
  };
  const follow = () => {
    const source = new EventSource('api/changes');
    source.addEventListener('hello', () => { say('live', 'good'); begin(); });
    source.addEventListener('behind', begin);
    source.addEventListener('message', event => change(JSON.parse(event.data)));
    source.addEventListener('error', () => say('the line is down; this is as of ' + (run ? clock(run.head.now) : 'never'), 'bad'));
  };

  // ---- asking ----
  const KEY = 'fleetmend-token';
  const ask = async (what, host) => {
    const place = one('#answer');
    try {
      const answer = await fetch('api/ask', {method: 'POST', headers: {'Content-Type': 'application/json', Authorization: 'Bearer ' + token}, body: JSON.stringify(host ? {ask: what, host} : {ask: what})});
      const said = await answer.json();
      if (answer.status === 401) { token = null; sessionStorage.removeItem(KEY); controls(run.head); }
      place.textContent = answer.ok ? what + (host ? ' ' + host : '') + ' is asked' + (run.head.outcome === 'running' || run.head.outcome === 'paused' ? '; the run answers within a second or two' : '; nobody runs it: `fleetmend resume` takes it up') : said.error;
      place.className = answer.ok ? 'soft' : 'bad';
    } catch { place.textContent = 'the line is down: nothing was asked'; place.className = 'bad'; }
  };
  // A click asks once more on the button itself, so that nothing happens by a slip.
  const sure = (button, go) => {
    if (button.classList.contains('sure')) { button.classList.remove('sure'); button.textContent = button.dataset.words; go(); return; }
    button.dataset.words = button.textContent;
    button.classList.add('sure');
    button.textContent = button.textContent + ': click again';
    setTimeout(() => { if (button.classList.contains('sure')) { button.classList.remove('sure'); button.textContent = button.dataset.words; } }, 4000);
  };
  document.querySelectorAll('#controls button').forEach(button => button.addEventListener('click', () => sure(button, () => ask(button.dataset.ask))));
  const unlock = async () => {
    const key = new URLSearchParams(location.hash.slice(1)).get('key');
    if (key) {
      history.replaceState(null, '', location.pathname);
      const answer = await fetch('api/key', {method: 'POST', headers: {'Content-Type': 'application/json'}, body: JSON.stringify({key})});
      const said = await answer.json();
      if (answer.ok) sessionStorage.setItem(KEY, said.token);
      else { one('#answer').textContent = said.error; one('#answer').className = 'bad'; }
    }
    token = sessionStorage.getItem(KEY);
    if (run) controls(run.head);
  };
  unlock().catch(() => {});
  follow();
  // Times that pass by themselves.
  setInterval(() => { if (run && !document.hidden) cards(run.head); }, 10000);
})();
