// The pages' only script. It follows Airflow's theme, opens links where Airflow's sandboxed frame lets them open, and
// sends decisions to the same JSON API that any other system uses. Nothing is decided here: the server checks it all.
'use strict';

const root = document.body.dataset.root;
const say = text => { document.getElementById('say').textContent = text; };
const $ = id => document.getElementById(id);
const framed = parent !== window;

function followTheme() {
  if (!framed) return;
  try {
    const theirs = parent.document.documentElement;
    const set = () => { document.documentElement.className = (theirs.className.match(/\b(light|dark)\b/) || [''])[0]; };
    set();
    new MutationObserver(set).observe(theirs, { attributes: true, attributeFilter: ['class'] });
  } catch { /* another origin frames us: the system's theme holds */ }
}

// The frame may not navigate Airflow's window. A history entry plus the event that its router listens to does.
function openLinks(event) {
  const link = event.target.closest('a[data-airflow], a[data-open]');
  if (!link || !framed || event.ctrlKey || event.metaKey || event.shiftKey) return;
  try {
    if (link.dataset.open) parent.open(link.href);
    else {
      parent.history.pushState({}, '', link.getAttribute('href'));
      parent.dispatchEvent(new PopStateEvent('popstate', { state: {} }));
    }
    event.preventDefault();
  } catch { /* the plain link is left to do it */ }
}

function copyDigests(event) {
  const button = event.target.closest('.copy');
  if (!button) return;
  navigator.clipboard?.writeText(button.dataset.v).then(() => {
    const use = button.querySelector('use');
    say('Copied.');
    use.setAttribute('href', '#pass');
    setTimeout(() => use.setAttribute('href', '#copy'), 1500);
  }).catch(() => say('Copying is not allowed here. The digest: ' + button.dataset.v));
}

function filterModels() {
  const search = $('q'), tier = $('tier'), none = $('none');
  if (!search) return;
  const rows = [...document.querySelectorAll('.models tbody tr')];
  const buttons = [...document.querySelectorAll('[data-filter]')];
  const apply = () => {
    const text = search.value.trim().toLowerCase();
    const state = buttons.find(b => b.getAttribute('aria-pressed') === 'true').dataset.filter;
    rows.forEach(row => {
      row.hidden = !(row.textContent.toLowerCase().includes(text) && (!tier?.value || row.dataset.tier === tier.value)
        && (state === 'all' || row.dataset.state === state));
    });
    none.hidden = rows.some(row => !row.hidden);
  };
  search.addEventListener('input', apply);
  tier?.addEventListener('change', apply);
  buttons.forEach(button => button.addEventListener('click', () => {
    buttons.forEach(other => other.setAttribute('aria-pressed', other === button));
    apply();
  }));
}

// --- deciding -------------------------------------------------------------------------------------------------------

function element(name, className, ...children) {
  const made = document.createElement(name);
  if (className) made.className = className;
  made.append(...children);
  return made;
}

function icon(name) {
  const svg = document.createElementNS('http://www.w3.org/2000/svg', 'svg');
  const use = document.createElementNS('http://www.w3.org/2000/svg', 'use');
  svg.setAttribute('class', 'i');
  svg.setAttribute('aria-hidden', 'true');
  use.setAttribute('href', '#' + name);
  svg.append(use);
  return svg;
}

function button(text, action) {
  const made = element('button', 'btn', text);
  made.type = 'button';
  made.addEventListener('click', action);
  return element('p', 'mt-8', made);
}

// The first sentence says what did not happen; the rest why, and what to do.
function notice(tone, mark, message, ...after) {
  const [, first, rest] = message.match(/^(.*?[.:!?])\s+([\s\S]*)$/) || [null, message, ''];
  const end = first.endsWith(':') ? message.match(/^(.*?\.)(?:\s+([\s\S]*))?$/) : null;
  const body = element('div', '', element('b', '', end ? end[1] : first));
  const more = end ? end[2] : rest;
  if (more) body.append(element('p', 'mt-4', more));
  return [element('div', 'notice ' + tone, icon(mark), body), ...after];
}

const PROBLEMS = {
  may_not_sign: ['block', 'lock'],
  refused: ['warn', 'warn'],
  not_logged_in: ['warn', 'lock'],
};

function decideForm() {
  const form = $('form'), card = $('decide');
  if (!form) return;
  const { model, version, evidence } = card.dataset;
  const api = `${root}/api/requests/${encodeURIComponent(model)}/${encodeURIComponent(version)}`;
  const boxes = [...form.querySelectorAll('.check input')];
  const approve = $('approve'), reject = $('reject'), comment = $('comment'), why = $('why'), problem = $('problem');
  const kept = `governance:${model}/${version}`;

  const left = () => boxes.filter(box => !box.checked);
  const keep = () => sessionStorage.setItem(kept, JSON.stringify({
    comment: comment.value, evidence, confirmed: boxes.filter(box => box.checked).map(box => box.value) }));
  const ready = () => {
    const n = left().length;
    approve.setAttribute('aria-disabled', n > 0);
    why.textContent = n === boxes.length && n ? `Confirm the ${n} points to approve.`
      : n ? `Confirm ${n} more point${n > 1 ? 's' : ''} to approve.` : why.dataset.ready;
  };

  try {
    const before = JSON.parse(sessionStorage.getItem(kept) || '{}');
    comment.value = before.comment || '';
    // A comment outlives a change of the evidence; what was confirmed of the old evidence does not.
    boxes.forEach(box => { box.checked = before.evidence === evidence && before.confirmed.includes(box.value); });
  } catch { sessionStorage.removeItem(kept); }

  const reload = () => { location.replace(`${root}/review/${encodeURIComponent(model)}/${encodeURIComponent(version)}`); };

  function show(found, again) {
    const [tone, mark] = PROBLEMS[found.error] || ['block', 'block'];
    const repeat = found.error === 'refused' ? button('Show how it stands now', reload) : button('Try again', again);
    const can = found.who_can?.length ? [element('p', 'small muted mt-8', `${found.who_can.join(' or ')} may sign.`)] : [];
    problem.replaceChildren(...notice(tone, mark, found.message, ...can, ...(found.error === 'may_not_sign' ? [] : [repeat])));
    problem.scrollIntoView({ block: 'nearest' });
  }

  async function decide(answer) {
    if (form.getAttribute('aria-busy') === 'true') return;
    form.setAttribute('aria-busy', 'true');
    problem.replaceChildren();
    keep();
    const body = { evidence, role: $('role').value, comment: comment.value,
      confirmed: boxes.filter(box => box.checked).map(box => box.value),
      findings: answer === 'approve' ? findingsGiven() : [] };
    try {
      const response = await fetch(`${api}/${answer}`, { method: 'POST', credentials: 'same-origin', body: JSON.stringify(body),
        headers: { 'Content-Type': 'application/json', 'Accept': 'application/json', 'X-Governance': 'page' } });
      const found = await response.json().catch(() => ({}));
      if (response.ok) {
        sessionStorage.removeItem(kept);
        reload();
        return;
      }
      show({ message: `Not signed: Airflow answered ${response.status}. Your comment is kept on this page.`, ...found },
        () => decide(answer));
    } catch {
      show({ error: 'unavailable', message: 'Not signed: Airflow does not answer. Nothing was confirmed, and trying again '
        + 'is safe: one person signs once. Your comment is kept on this page.' }, () => decide(answer));
    }
    form.setAttribute('aria-busy', 'false');
  }

  boxes.forEach(box => box.addEventListener('change', () => { keep(); ready(); }));
  comment.addEventListener('input', keep);
  form.addEventListener('submit', event => event.preventDefault());
  approve.addEventListener('click', () => { const open = left()[0]; if (open) open.focus(); else decide('approve'); });
  reject.addEventListener('click', () => {
    if (comment.value.trim()) { decide('reject'); return; }
    why.textContent = 'A reject needs a comment: the developers read it.';
    comment.focus();
  });
  ready();
}

// The forms of the exceptions page: their fields are the body, the button adds what it stands for.
function exceptionForms() {
  document.querySelectorAll('form[data-post]').forEach(form => {
    const problem = form.querySelector('.problem');
    form.addEventListener('submit', event => event.preventDefault());
    form.querySelectorAll('[data-send]').forEach(trigger => trigger.addEventListener('click', async () => {
      if (form.getAttribute('aria-busy') === 'true') return;
      form.setAttribute('aria-busy', 'true');
      problem.replaceChildren();
      const body = Object.fromEntries(new URLSearchParams(trigger.dataset.send));
      new FormData(form).forEach((value, name) => {
        const [outer, ...rest] = name.split('.');
        if (!rest.length) body[outer] = value;
        else if (value) body[outer] = { ...body[outer], [rest.join('.')]: value };
      });
      try {
        const response = await fetch(form.dataset.post, { method: 'POST', credentials: 'same-origin', body: JSON.stringify(body),
          headers: { 'Content-Type': 'application/json', 'Accept': 'application/json', 'X-Governance': 'page' } });
        const found = await response.json().catch(() => ({}));
        if (response.ok) { location.reload(); return; }
        const [tone, mark] = PROBLEMS[found.error] || ['block', 'block'];
        problem.replaceChildren(...notice(tone, mark, found.message || `Not recorded: Airflow answered ${response.status}.`));
      } catch {
        problem.replaceChildren(...notice('block', 'block', 'Not recorded: Airflow does not answer. Look whether it is there before you send it again.'));
      }
      form.setAttribute('aria-busy', 'false');
    }));
  });
}

// A condition of the approval: text, owner and date. Empty ones are not sent.
function findingRows() {
  const add = $('add-finding'), first = $('findings')?.firstElementChild;
  if (!add || !first) return;
  add.addEventListener('click', () => {
    const row = first.cloneNode(true);
    row.querySelectorAll('textarea, input').forEach(field => { field.value = ''; });
    $('findings').append(row);
    row.querySelector('textarea').focus();
  });
}

function findingsGiven() {
  return [...document.querySelectorAll('#findings > *')].map(row => ({
    text: row.querySelector('[name=text]').value.trim(),
    owner: row.querySelector('[name=owner]').value,
    due: row.querySelector('[name=due]').value,
  })).filter(finding => finding.text);
}

// While a person reads, another may sign, or the evidence may change: ask now and then, and say so.
function watch() {
  const card = $('decide');
  if (!card || !card.dataset.token) return;
  const { model, version, token } = card.dataset;
  const timer = setInterval(async () => {
    if (document.hidden) return;
    try {
      const response = await fetch(`${root}/api/requests/${encodeURIComponent(model)}/${encodeURIComponent(version)}/standing`,
        { headers: { 'Accept': 'application/json' } });
      if (!response.ok) return;
      const now = await response.json();
      if (now.token === token) return;
      clearInterval(timer);
      const bar = element('div', 'in', ...notice('warn', 'wait', now.sentence, button('Show how it stands now', () => location.reload())));
      bar.setAttribute('role', 'status');
      card.querySelector('header').after(bar);
    } catch { /* the next round asks again */ }
  }, 15000);
}

// The Monitoring pages do not wait for what waits: the count beside Inbox is asked for after they are shown.
async function countWaiting() {
  const badge = document.querySelector('[data-waiting]');
  if (!badge) return;
  try {
    const response = await fetch(`${root}/api/waiting`, { headers: { 'Accept': 'application/json' } });
    const { waiting } = response.ok ? await response.json() : {};
    if (!waiting) return;
    badge.textContent = waiting;
    badge.setAttribute('aria-label', `${waiting} ${waiting === 1 ? 'waits' : 'wait'} for you`);
    badge.hidden = false;
  } catch { /* the Inbox says it */ }
}

// The history keeps its size: in a narrow window it is scrolled to the day that is shown, and arrows move along the days.
function historyChart() {
  const chart = document.querySelector('.timeline svg[role=group]');
  if (!chart) return;
  const box = chart.parentElement, day = chart.querySelector('[aria-current]');
  if (day && box.scrollWidth > box.clientWidth) {
    box.scrollLeft = day.firstElementChild.getBBox().x - box.clientWidth * 0.8;
  }
  chart.addEventListener('keydown', event => {
    const pick = event.target.closest('.pick');
    const next = pick && { ArrowRight: pick.nextElementSibling, ArrowLeft: pick.previousElementSibling }[event.key];
    if (!next?.matches('.pick')) return;
    next.focus();
    event.preventDefault();
  });
}

// The graph of lineage: the address names the box that is shown; what it came from and led to is drawn strong.
function lineageGraph() {
  const aside = document.querySelector('aside[data-first]');
  if (!aside) return;
  const edges = [...document.querySelectorAll('[data-e]')].map(g => ({ g, ends: g.dataset.e.split(' ') }));
  const walk = (at, from, to, seen = new Set()) => {
    edges.filter(edge => edge.ends[from] === at && !seen.has(edge)).forEach(edge => {
      seen.add(edge);
      walk(edge.ends[to], from, to, seen);
    });
    return seen;
  };
  const show = () => {
    const id = location.hash.slice(1) || aside.dataset.first, at = id.slice(1);
    document.querySelectorAll('[data-node]').forEach(one => { one.hidden = one.dataset.node !== id; });
    document.querySelectorAll('.node').forEach(node => {
      const on = node.getAttribute('href') === `#${id}`;
      node.classList.toggle('on', on);
      if (on) node.setAttribute('aria-current', 'true'); else node.removeAttribute('aria-current');
    });
    const strong = new Set([...walk(at, 1, 0), ...walk(at, 0, 1)]);
    edges.forEach(edge => edge.g.querySelectorAll('path').forEach(path => path.classList.toggle('on', strong.has(edge))));
  };
  addEventListener('hashchange', show);
  show();
  $('cq').addEventListener('input', event => {
    const text = event.target.value.toLowerCase();
    document.querySelectorAll('#cols tr').forEach(row => { row.hidden = !row.textContent.toLowerCase().includes(text); });
  });
  $('ver')?.addEventListener('change', event => { location.href = event.target.dataset.go + event.target.value; });
}

followTheme();
document.addEventListener('click', openLinks);
document.addEventListener('click', copyDigests);
filterModels();
decideForm();
exceptionForms();
findingRows();
watch();
countWaiting();
historyChart();
lineageGraph();
if (matchMedia('(min-width: 1640px)').matches) document.querySelectorAll('details.wide-open').forEach(d => { d.open = true; });
