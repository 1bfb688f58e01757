'use strict';
(() => {
  const one = (what, from = document) => from.querySelector(what);
  const all = (what, from = document) => Array.from(from.querySelectorAll(what));
  document.documentElement.classList.add('js');

  // Long lists are text, which costs a browser little; the one that is looked at becomes a table. Tabs part cells: names
  // have none, the page shows theirs as escapes.
  const text = new WeakMap();
  const rows = lines => {
    if (!text.has(lines)) text.set(lines, lines.textContent.trimEnd().split('\n').map(line => line.split('\t')));
    return text.get(lines);
  };
  const hosts = () => new Map(all('details.host').map(host => [one('.name', host).textContent, one('.in', host).id]));
  let anchors;
  const make = (kind, words) => { const made = document.createElement(kind); made.textContent = words; return made; };
  const tabulate = lines => {
    anchors = anchors || hosts();
    const names = lines.dataset.head.split('|'), table = document.createElement('table');
    const head = table.createTHead().insertRow(), body = table.createTBody();
    names.forEach(name => head.append(make('th', name)));
    rows(lines).forEach(cells => {
      const row = body.insertRow();
      cells.forEach((words, at) => {
        const cell = row.insertCell(), isHost = names[at] === 'host' || names[at] === 'to', to = isHost && anchors.get(words);
        if (names[at] === 'id' || names[at] === 'project') cell.className = 'id';
        if (names[at] === 'at' || names[at] === 'took') cell.className = 't';
        if (!to) { cell.textContent = words; return; }
        const link = make('a', words);
        link.href = '#' + to;
        cell.append(link);
      });
    });
    const wide = document.createElement('div');
    wide.className = 'wide';
    wide.append(table);
    lines.replaceWith(wide);
    text.set(wide, rows(lines));
    wide.classList.add('lines-shown');
  };
  document.addEventListener('toggle', event => {
    if (event.target.open) all('pre.lines', event.target).forEach(tabulate);
  }, true);
  all('details[open] pre.lines').forEach(tabulate);

  // A place that is linked to is opened with all that it lies in, and marked.
  const reveal = () => {
    const id = decodeURIComponent(location.hash.slice(1));
    const place = id && document.getElementById(id);
    if (!place) return;
    all('.hit').forEach(hit => hit.classList.remove('hit'));
    for (let at = place.closest('details'); at; at = at.parentElement.closest('details')) at.open = true;
    const whole = place.closest('details');
    if (whole) {
      whole.classList.add('hit');
      whole.scrollIntoView({block: 'start'});
      one('summary', whole).focus({preventScroll: true});
    }
  };
  addEventListener('hashchange', reveal);
  reveal();

  // Rows of a time line lead to their hosts; who uses the keyboard has the names beside them.
  all('.lanes g').forEach(lane => {
    lane.style.cursor = 'pointer';
    lane.addEventListener('click', () => { location.hash = 'h' + lane.dataset.h; reveal(); });
  });

  all('button[data-copy]').forEach(button => button.addEventListener('click', async () => {
    const text = document.getElementById(button.dataset.copy).textContent;
    try { await navigator.clipboard.writeText(text); button.textContent = 'Copied'; }
    catch { getSelection().selectAllChildren(document.getElementById(button.dataset.copy)); }
  }));

  // On paper nobody can open anything.
  let opened = [];
  addEventListener('beforeprint', () => {
    const closed = all('details.paper:not([open])');
    if (closed.length <= 120) { opened = closed; opened.forEach(details => { details.open = true; }); }
  });
  addEventListener('afterprint', () => { opened.forEach(details => { details.open = false; }); opened = []; });

  const box = one('#q'), found = one('#found');
  if (!box) return;
  // What can be found: words to look for, a name, what is said of it, where it is. Read from the page when first asked.
  let known;
  const learn = () => {
    known = [];
    const add = (name, words, said, to) => known.push({name, words: words.toLowerCase(), said, to});
    all('details.host').forEach(host => {
      const name = one('.name', host).textContent, to = one('.in', host).id;
      add(name, name, one('summary', host).dataset.say, to);
      all('.lines, .lines-shown', host).forEach(lines => rows(lines).forEach(cells =>
        add(cells[1], cells[1] + ' ' + cells[2], 'on ' + name + ': ' + cells[0] + ', ' + cells[4], to)));
    });
    all('details.project').forEach(project => {
      const name = one('.name', project).textContent;
      add(name, name, one('summary', project).dataset.say, one('.in', project).id);
    });
    all('tr[data-left]').forEach(row =>
      add(row.cells[0].textContent, row.cells[0].textContent, 'left alone: ' + row.cells[1].textContent, row.id));
  };
  const most = 30;
  const look = () => {
    if (!known) learn();
    const asked = box.value.trim().toLowerCase();
    found.hidden = !asked;
    if (!asked) return;
    const rank = entry => {
      const at = entry.words.indexOf(asked);
      return at < 0 ? -1 : entry.words === asked ? 0 : at === 0 ? 1 : 2;
    };
    const hits = [[], [], []];
    known.forEach(entry => { const place = rank(entry); if (place >= 0) hits[place].push(entry); });
    const list = hits.flat();
    const items = list.slice(0, most).map(entry => {
      const item = document.createElement('li'), link = document.createElement('a'), said = document.createElement('small');
      link.href = '#' + entry.to;
      link.append(entry.name || '(no name)', said);
      said.textContent = entry.said;
      link.addEventListener('click', () => { found.hidden = true; if (location.hash === link.hash) reveal(); });
      item.append(link);
      return item;
    });
    one('ol', found).replaceChildren(...items);
    one('p', found).textContent = list.length === 0 ? 'nothing is called so' :
      list.length > most ? 'the first ' + most + ' of ' + list.length : list.length + ' found';
  };
  const place = () => {
    const at = box.getBoundingClientRect();
    found.style.top = at.bottom + 'px';
    found.style.left = at.left + 'px';
  };
  box.addEventListener('input', () => { look(); place(); });
  box.addEventListener('focus', () => { look(); place(); });
  box.addEventListener('keydown', event => {
    const first = one('a', found);
    if (event.key === 'Escape') { box.value = ''; found.hidden = true; }
    if (event.key === 'Enter' && first && !found.hidden) { event.preventDefault(); first.click(); }
    if (event.key === 'ArrowDown' && first && !found.hidden) { event.preventDefault(); first.focus(); }
  });
  found.addEventListener('keydown', event => {
    const links = all('a', found), at = links.indexOf(document.activeElement);
    if (event.key === 'Escape') { found.hidden = true; box.focus(); }
    if (event.key === 'ArrowDown' && links[at + 1]) { event.preventDefault(); links[at + 1].focus(); }
    if (event.key === 'ArrowUp') { event.preventDefault(); (links[at - 1] || box).focus(); }
  });
  document.addEventListener('click', event => {
    if (!found.contains(event.target) && event.target !== box) found.hidden = true;
  });
  document.addEventListener('keydown', event => {
    if (event.key === '/' && !/^(INPUT|TEXTAREA)$/.test(document.activeElement.tagName)) { event.preventDefault(); box.focus(); }
  });
})();
